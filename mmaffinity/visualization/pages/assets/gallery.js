// Images are stored as base64 blocks and become elements when they are shown.
const pictureBlocks = new Map([...document.querySelectorAll('script[data-picture]')].map(node => [node.dataset.picture, node]));

function picture(key, text) {
  const block = key === null ? undefined : pictureBlocks.get(key);
  return block
    ? el('img', {src: `data:image/${block.dataset.kind};base64,${block.textContent}`, alt: text})
    : el('div', {class: 'none'}, 'no image');
}

/** Show items a portion at a time; `draw` returns the figure of an item. */
function gallery(place, items, draw, portion = 24) {
  const shown = el('div', {class: 'gallery'}),
    more = el('button', {type: 'button'});
  let number = 0;
  const next = () => {
    shown.append(...items.slice(number, number + portion).map(draw));
    number = Math.min(number + portion, items.length);
    more.textContent = `show more (${number} of ${items.length})`;
    more.hidden = number === items.length;
  };
  more.addEventListener('click', next);
  place.append(shown, more);
  next();
}
