// In a narrow window the controls of a tab are folded, so that the answer comes first.
document.addEventListener('click', event => {
  const button = event.target.closest?.('.ta-fold button');
  if (!button) return;
  const open = button.closest('.ta-controls').classList.toggle('ta-open');
  button.setAttribute('aria-expanded', open);
});
