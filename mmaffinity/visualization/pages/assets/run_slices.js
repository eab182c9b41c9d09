// The confusion matrix and the slices in its cells.
let cell = 'wrong';
let order = 'high';

const confidence = item => item.scores[item.pred];
const probabilities = (classes, item) => classes.map((name, k) => `${name} ${fixed(item.scores[k], 3)}`).join(', ');

function sliceFigure(item) {
  const {classes} = run,
    wrong = item.label !== item.pred,
    text = `truth ${classes[item.label]}, predicted ${classes[item.pred]}`;
  return el(
    'figure',
    {class: wrong ? 'wrong' : null},
    picture(item.picture, item.path),
    el(
      'figcaption',
      {},
      el('strong', {}, text),
      el('br'),
      probabilities(classes, item),
      el('br'),
      el('span', {class: 'faint'}, item.path),
    ),
  );
}

function showConfusion() {
  const {classes, slices} = run;
  $('confusion').replaceChildren();
  $('gallery').replaceChildren();
  if (!slices.length) return;
  const wrong = slices.filter(item => item.label !== item.pred).length;
  const rows = classes.map((name, truth) => {
    const own = slices.filter(item => item.label === truth);
    return [
      el('strong', {}, `${name} (${own.length})`),
      ...classes.map((_, pred) => {
        const number = own.filter(item => item.pred === pred).length,
          share = own.length ? `${((100 * number) / own.length).toFixed(1)} %` : '\u2013';
        return el(
          'button',
          {
            type: 'button',
            'data-cell': `${truth},${pred}`,
            'aria-label': `truth ${name}, predicted ${classes[pred]}: ${number} slices`,
            onclick: () => choose([truth, pred]),
          },
          String(number),
          el('small', {}, share),
        );
      }),
    ];
  });
  const matrix = table(['truth \\ predicted', ...classes], rows);
  matrix.classList.add('confusion');
  $('confusion').append(
    el('h2', {}, 'Confusion matrix'),
    el('p', {class: 'faint screen'}, 'Click a cell to see its slices.'),
    matrix,
    el(
      'p',
      {class: 'controls screen'},
      el(
        'button',
        {type: 'button', 'data-cell': 'wrong', id: 'wrong', onclick: () => choose('wrong')},
        `misclassified slices: ${wrong}`,
      ),
      el('button', {type: 'button', 'data-cell': 'all', onclick: () => choose('all')}, `all slices: ${slices.length}`),
    ),
  );
  order = wrong ? 'high' : 'low';
  choose(wrong ? 'wrong' : 'all');
}

function choose(wanted) {
  cell = wanted;
  for (const button of $('confusion').querySelectorAll('button')) {
    button.setAttribute('aria-pressed', String(button.dataset.cell === String(wanted)));
  }
  const {classes, slices} = run;
  const items = slices.filter(
    item => cell === 'all' || (cell === 'wrong' ? item.label !== item.pred : item.label === cell[0] && item.pred === cell[1]),
  );
  const up = order === 'high' ? -1 : 1;
  items.sort(
    order === 'path'
      ? (a, b) => (a.path < b.path ? -1 : 1)
      : (a, b) => up * (confidence(a) - confidence(b)) || (a.path < b.path ? -1 : 1),
  );
  const sort = select(
    'order',
    [
      ['high', 'most confident first'],
      ['low', 'least confident first'],
      ['path', 'by path'],
    ],
    order,
    value => {
      order = value;
      choose(cell);
    },
  );
  const what =
    cell === 'all'
      ? 'All slices'
      : cell === 'wrong'
        ? 'Misclassified'
        : `Truth ${classes[cell[0]]}, predicted ${classes[cell[1]]}`;
  refill(
    $('gallery'),
    el('h2', {}, `${what}: ${plural(items.length, 'slice')}`),
    el('div', {class: 'controls screen'}, el('label', {}, 'order ', sort)),
  );
  if (head.drawn) $('gallery').append(el('p', {class: 'faint'}, `Left: the slice; right: its ${head.drawn}.`));
  gallery($('gallery'), items, sliceFigure);
}
