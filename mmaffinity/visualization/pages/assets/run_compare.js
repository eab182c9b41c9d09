/** Compare two models on the same slices: disagreements first, then by the difference in the true class's probability. */
function compare() {
  const able = runs.filter(one => one.slices.length);
  if (able.length < 2) return;
  const pick = [0, 1].map(at =>
    select(
      `model-${at}`,
      able.map((one, k) => [k, one.name]),
      at,
      show,
    ),
  );
  const place = el('div', {id: 'pairs'});
  $('compare').append(
    el('h2', {}, 'Two models on the same slices'),
    el('div', {class: 'controls'}, el('label', {}, 'model A ', pick[0]), el('label', {}, 'model B ', pick[1])),
    place,
  );
  function show() {
    const [a, b] = pick.map(select => able[select.value]),
      others = new Map(b.slices.map(item => [item.path, item]));
    const pairs = a.slices.filter(item => others.has(item.path)).map(item => [item, others.get(item.path)]);
    const gap = ([one, two]) => Math.abs(one.scores[one.label] - two.scores[two.label]),
      differ = ([one, two]) => a.classes[one.pred] !== b.classes[two.pred];
    const counts = [
      [false, false],
      [false, true],
      [true, false],
      [true, true],
    ].map(([x, y]) => pairs.filter(([one, two]) => (one.pred === one.label) === x && (two.pred === two.label) === y).length);
    pairs.sort((one, two) => differ(two) - differ(one) || gap(two) - gap(one));
    place.replaceChildren(
      el(
        'p',
        {},
        `${plural(pairs.length, 'common slice')}: both correct ${counts[3]}, only A ${counts[2]}, only B ${counts[1]}, neither ${counts[0]}; ${plural(pairs.filter(differ).length, 'disagreement')}, shown first.`,
      ),
    );
    gallery(
      place,
      pairs,
      ([one, two]) =>
        el(
          'figure',
          {class: differ([one, two]) ? 'wrong' : null},
          picture(one.picture ?? two.picture, one.path),
          el(
            'figcaption',
            {},
            el('strong', {}, `truth ${a.classes[one.label]}`),
            el('br'),
            `A: ${a.classes[one.pred]} (${probabilities(a.classes, one)})`,
            el('br'),
            `B: ${b.classes[two.pred]} (${probabilities(b.classes, two)})`,
            el('br'),
            el('span', {class: 'faint'}, one.path),
          ),
        ),
      12,
    );
  }
  show();
}
