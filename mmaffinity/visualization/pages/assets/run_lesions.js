// Slices with lesion annotations, sorted by average precision.
let lesionOrder = 'low';

const mean = values => values.reduce((sum, value) => sum + value, 0) / values.length;

function showLesions() {
  const byPath = (a, b) => (a.path < b.path ? -1 : 1),
    byAp = (a, b) => mean(a.ap) - mean(b.ap) || byPath(a, b);
  const items = [...run.lesions].sort({low: byAp, high: (a, b) => byAp(b, a), path: byPath}[lesionOrder]);
  if (!items.length) {
    $('lesions').replaceChildren();
    return;
  }
  const sort = select(
    'lesion-order',
    [
      ['low', 'lowest AP first'],
      ['high', 'highest AP first'],
      ['path', 'by path'],
    ],
    lesionOrder,
    value => {
      lesionOrder = value;
      showLesions();
    },
  );
  refill(
    $('lesions'),
    el('h2', {}, `Lesion segmentation: ${plural(items.length, 'slice')}`),
    el('div', {class: 'controls screen'}, el('label', {}, 'order ', sort)),
    el(
      'p',
      {class: 'faint'},
      head.test
        ? `Left: annotated lesions, dashed; right: ${head.drawn ?? 'predicted lesions'}. AP and the numbers include lower scores.`
        : "Each test run's own page shows the lesions.",
    ),
  );
  gallery(
    $('lesions'),
    items,
    item =>
      el(
        'figure',
        {},
        picture(item.picture, item.path),
        el(
          'figcaption',
          {},
          el('strong', {}, `mAP ${fixed(mean(item.ap), 3)}, AP50 ${fixed(item.ap[0], 3)}`),
          `; ${plural(item.num_gt, 'lesion')} annotated, ${item.num_pred} predicted`,
          el('br'),
          el('span', {class: 'faint'}, item.path),
        ),
      ),
    8,
  );
}
