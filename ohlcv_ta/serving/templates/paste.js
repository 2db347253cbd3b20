// A picture that is pasted anywhere on the page goes to the field for charts, in place of the picture that is there.
(() => {
  const put = (box, file) => {
    const input = box.querySelector('input[type=file]');
    if (!input) return false;
    const files = new DataTransfer();
    files.items.add(file);
    input.files = files.files;
    input.dispatchEvent(new Event('change', {bubbles: true}));
    return true;
  };
  const replace = (box, file, tries) => {
    if (put(box, file) || tries === 0) return;
    if (tries === 40) box.querySelector('button[aria-label="Clear"], button[title="Clear"]')?.click();
    setTimeout(() => replace(box, file, tries - 1), 50);
  };
  document.addEventListener('paste', event => {
    const file = [...(event.clipboardData?.files || [])].find(one => one.type.startsWith('image/'));
    const box = document.querySelector('#chart-picture');
    if (!file || !box || !box.offsetParent) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    replace(box, file, 40);
  }, true);
})();
