// Copies the text of the element that a button names.
//   data-copy-of="id"        the element whose text is copied
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-copy-of]");
  const source = button && document.getElementById(button.dataset.copyOf);
  if (!source) return;
  const select = () => {
    window.getSelection().selectAllChildren(source);
    button.textContent = "Selected; press Ctrl+C";
  };
  if (!navigator.clipboard) return select();
  navigator.clipboard.writeText(source.textContent).then(() => { button.textContent = "Copied"; }, select);
});
