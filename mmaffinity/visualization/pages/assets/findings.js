(() => {
  const head = data('head');
  const words = item =>
    typeof item === 'object' && item !== null && !Array.isArray(item)
      ? Object.entries(item)
          .map(([name, value]) => `${name}: ${Array.isArray(value) ? value.join(', ') : value}`)
          .join('; ')
      : String(Array.isArray(item) ? item.join(' = ') : item);

  function caseFigure({item, pictures}) {
    return el(
      'figure',
      {},
      el(
        'div',
        {class: 'pair'},
        ...pictures.map(([name, key]) => el('div', {}, picture(key, name), el('div', {class: 'faint'}, name))),
      ),
      el('figcaption', {}, words(item)),
    );
  }

  $('title').textContent = head.title;
  $('verdict').append(el('strong', {class: head.passed ? null : 'warning'}, head.sentences[head.sentences.length - 1]));
  for (const finding of head.findings) {
    const place = el(
      'section',
      {'data-check': finding.check},
      el(
        'h2',
        {class: finding.severity === 'failure' ? 'warning' : null},
        `${finding.severity}: ${finding.check} (${finding.count})`,
      ),
      el('p', {}, finding.message),
    );
    const seen = finding.cases.filter(one => one.pictures.length),
      others = finding.cases.filter(one => !one.pictures.length);
    if (seen.length) gallery(place, seen, caseFigure, seen[0].pictures.length > 1 ? 12 : 6);
    if (others.length)
      place.append(
        el(
          'details',
          {},
          el('summary', {}, `${plural(others.length, 'case')} without images`),
          el('ul', {}, ...others.map(one => el('li', {}, words(one.item)))),
        ),
      );
    $('findings').append(place);
  }
  if (!head.findings.length) $('findings').append(el('p', {}, 'No findings.'));
  const columns = [...new Set(head.datasets.flatMap(row => Object.keys(row)))];
  $('about').append(
    el('h2', {}, 'Verified data'),
    table(
      columns,
      head.datasets.map(row =>
        columns.map(name => {
          const value = row[name];
          return value !== null && typeof value === 'object' ? JSON.stringify(value) : String(value ?? '\u2013');
        }),
      ),
    ),
    el('p', {class: 'mono'}, String(head.config ?? '')),
  );
})();
