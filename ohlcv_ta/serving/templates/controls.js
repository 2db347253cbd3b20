// Folded controls of a narrow window, and the address of the open tab.
(() => {
  const tabs = () => [...(document.querySelector('[role=tablist]')?.querySelectorAll('button[role=tab]') || [])];
  const slug = tab => tab.innerText.trim().toLowerCase().replaceAll(' ', '-');
  const write = (tab, values) => {
    const address = new URL(location.href);
    for (const name of ['tab', 'market', 'session']) address.searchParams.delete(name);
    for (const [name, value] of Object.entries({tab, ...values})) if (value) address.searchParams.set(name, value);
    history.replaceState(history.state, '', address);
  };
  window.linkValues = (name, values) => { // what a tab shows; another tab may be open while its answer comes
    const open = tabs().find(tab => tab.ariaSelected === 'true');
    if (open && slug(open) === name) write(name, values);
  };
  document.addEventListener('click', event => {
    const button = event.target.closest?.('.ta-fold button');
    if (button) {
      const open = button.closest('.ta-controls').classList.toggle('ta-open');
      button.setAttribute('aria-expanded', open);
    }
    const tab = event.target.closest?.('button[role=tab]');
    if (tab && event.isTrusted && tabs().includes(tab)) write(slug(tab), {});
  });
  const wanted = new URLSearchParams(location.search).get('tab');
  const open = tries => {
    const tab = tabs().find(one => slug(one) === wanted);
    if (tab) tab.click();
    else if (tries) setTimeout(open, 100, tries - 1);
  };
  if (wanted) open(300);
})();
