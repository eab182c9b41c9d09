// All text enters the page as text nodes: nothing from an input file is parsed as HTML.
const $ = id => document.getElementById(id);
const data = id => JSON.parse($(id).textContent);

/** Create an element; attributes starting with "on" are event listeners, and null children are left out. */
function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false) node.setAttribute(name, value === true ? '' : value);
  }
  node.append(...children.filter(child => child !== null && child !== undefined));
  return node;
}

const fixed = (value, digits) =>
  value === null || value === undefined ? '\u2013' : value.toFixed(digits).replace('-', '\u2212');
const plural = (count, noun) => `${count} ${noun}${count === 1 ? '' : 's'}`;
const percent = value => {
  const whole = Math.round(100 * value);
  return `${whole > 0 ? '+' : whole < 0 ? '\u2212' : ''}${Math.abs(whole)} %`;
};

/** Create a table; the columns whose indices are in `numbers` are right-aligned. */
function table(header, rows, numbers = []) {
  const kind = at => (numbers.includes(at) ? 'number' : null);
  const body = rows.map(row => {
    const cells = row.cells ?? row;
    return el(
      'tr',
      {class: row.chosen ? 'chosen' : null},
      ...cells.map((cell, at) => el('td', {class: kind(at)}, cell ?? '\u2013')),
    );
  });
  return el(
    'div',
    {class: 'scroll'},
    el(
      'table',
      {},
      el('thead', {}, el('tr', {}, ...header.map((name, at) => el('th', {class: kind(at)}, name)))),
      el('tbody', {}, ...body),
    ),
  );
}

/** Create a list of notes, warnings first. */
function noteList(notes) {
  const serious = note => note.startsWith('warning: ');
  const sorted = [...notes].sort((a, b) => serious(b) - serious(a));
  return el('ul', {}, ...sorted.map(note => el('li', {class: serious(note) ? 'warning' : null}, note)));
}

/** Create a table of unused inputs, with reasons. */
function problemTable(problems) {
  return table(
    ['input', 'reason'],
    problems.map(item => [item.source, item.reason]),
  );
}

/** Create a table of the model, its checksums, versions and settings. */
function modelTable(model, versions, settings, created) {
  const rows = [
    ['config', model.config],
    ['SHA-256 of the config', model.config_sha256],
    ['checkpoint', model.checkpoint],
    ['SHA-256 of the checkpoint', model.checkpoint_sha256],
    ...(model.precision ? [['precision', model.precision]] : []),
    ...(model.fallback_sha256
      ? [[`SHA-256 of the float32 fallback (margin ${model.fallback_margin})`, model.fallback_sha256]]
      : []),
    ['created', created],
    [
      'versions',
      Object.entries(versions)
        .map(([name, version]) => `${name} ${version}`)
        .join(', '),
    ],
  ];
  if (settings)
    rows.push([
      'settings',
      Object.entries(settings)
        .map(([name, value]) => `${name} ${value}`)
        .join(', '),
    ]);
  return table(
    ['', ''],
    rows.map(([name, value]) => [name, el('span', {class: 'mono'}, String(value ?? '\u2013'))]),
  );
}

/** Create a drop-down list of [value, text] pairs; `change` is called with the chosen value. */
function select(id, choices, chosen, change) {
  return el(
    'select',
    {id, onchange: event => change(event.target.value)},
    ...choices.map(([value, text]) => el('option', {value, selected: value === chosen}, text)),
  );
}

/** Replace the content of an element; the focus stays on the element with the same id or data-key. */
function refill(place, ...children) {
  const key = node => node.dataset.key ?? node.id;
  const wanted = place.contains(document.activeElement) ? key(document.activeElement) : '';
  place.replaceChildren(...children);
  if (wanted) [...place.querySelectorAll('[id], [data-key]')].find(node => key(node) === wanted)?.focus({preventScroll: true});
}
