// The summary of the scan.
function summary() {
  const {lesions, most_affected_slice: most, mean_probability: means, share_of_slices: shares, label} = head.summary;
  const facts = [`${slices.length} of ${head.scan.num_slices} slices predicted.`];
  if (label !== null) facts.push(`Class with the highest mean probability: ${label}.`);
  facts.push(
    `${plural(lesions.number, 'lesion')} on ${plural(lesions.num_slices, 'slice')}` +
      (lesions.volume_ml === null ? ', volume unknown.' : `, ${fixed(lesions.volume_ml, 1)} ml.`),
  );
  if (lesions.share_of_lung) {
    const {value, num_slices: number} = lesions.share_of_lung;
    const where = number < slices.length ? `, on the ${plural(number, 'slice')} where it finds lungs` : '';
    facts.push(`Lesions cover ${(100 * value).toFixed(1)} % of a simple threshold mask of the lungs (approximate)${where}.`);
  }
  const parts = [];
  if (classes.length)
    parts.push([
      table(
        ['class', 'mean probability', 'share of slices'],
        classes.map(name => [name, fixed(means[name], 3), `${(100 * (shares[name] ?? 0)).toFixed(1)} %`]),
        [1, 2],
      ),
      el('p', {class: 'faint'}, 'The mean over slices is a plain summary, not a trained prediction for the scan.'),
    ]);
  if (head.notes.length) parts.push([el('h2', {}, `Notes (${head.notes.length})`), noteList(head.notes)]);
  if (head.not_predicted.length)
    parts.push([el('h2', {}, `Not predicted (${head.not_predicted.length})`), problemTable(head.not_predicted)]);
  $('summary').append(
    el('p', {}, el('strong', {}, `${facts.join(' ')} `), most ? jumpTo(most.index) : null),
    el('div', {class: 'facts'}, ...parts.map(part => el('div', {}, ...part))),
  );
}

function jumpTo(index) {
  const at = slices.findIndex(record => record.index === index);
  const jump = () => {
    setPlane('axial');
    go(at);
  };
  return el('button', {type: 'button', id: 'most', class: 'screen', onclick: jump}, `largest lesion area: slice ${index + 1}`);
}

/** Describe how exact the values in the page are. */
function exactness() {
  const steps = [...blocks.values()].map(node => Number(node.dataset.step)),
    largest = Math.max(...steps);
  const loss =
    largest <= 1 ? 'exact' : `rounded to at most ${largest} ${head.unit}, a fraction of their noise, to keep the page small`;
  return steps.length
    ? `Values in this page: ${head.unit}, ${loss}. Values below \u22121024 HU or not finite are shown as air.`
    : head.no_pixels;
}

function largest() {
  const size = lesion => (lesion.mask ? lesion.area_px : lesion.score);
  const all = slices
    .flatMap(record => record.lesions.map(lesion => [record, lesion]))
    .sort(([, a], [, b]) => size(b) - size(a))
    .slice(0, 20);
  if (!all.length) return;
  $('largest').append(
    el('h2', {}, all.some(([, lesion]) => lesion.mask) ? 'Largest lesions of the scan' : 'Lesions with the highest scores'),
    table(
      ['', 'slice', 'score', 'area'],
      all.map(([record, lesion]) => [
        el(
          'button',
          {
            type: 'button',
            onclick: () => {
              choose(record, lesion);
              $('stage').scrollIntoView({block: 'nearest'});
            },
          },
          'show',
        ),
        record.index + 1,
        fixed(lesion.score, 2),
        area(lesion),
      ]),
      [1, 2, 3],
    ),
  );
}
