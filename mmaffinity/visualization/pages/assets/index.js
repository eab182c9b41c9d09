(() => {
  const head = data('head'),
    classes = head.model.slice_classes;
  const rows = head.scans.map((scan, at) => {
    const {lesions, mean_probability: means, label} = scan.summary;
    const name = head.pages[at]
      ? el('a', {href: `${encodeURIComponent(scan.folder)}/index.html`}, scan.name)
      : `${scan.name} (no page)`;
    return [
      name,
      `${scan.num_predicted} of ${scan.num_slices}`,
      label,
      ...classes.map(name => fixed(means[name], 3)),
      String(lesions.number),
      fixed(lesions.volume_ml, 1),
      scan.notes.length ? el('details', {}, el('summary', {}, `${scan.notes.length}`), noteList(scan.notes)) : '',
    ];
  });
  $('scans').append(
    table(['scan', 'slices', 'class', ...classes.map(name => `mean p(${name})`), 'lesions', 'volume in ml', 'notes'], rows, [
      1,
      ...classes.map((_, at) => at + 3),
      classes.length + 3,
      classes.length + 4,
    ]),
    el(
      'p',
      {class: 'faint'},
      'The class is the one with the highest mean probability over slices: a plain summary, not a trained prediction for the scan.',
    ),
  );
  if (head.not_predicted.length)
    $('problems').append(el('h2', {}, `Not predicted (${head.not_predicted.length})`), problemTable(head.not_predicted));
  if (head.clutter.length)
    $('problems').append(el('h2', {}, `Ignored files without slices (${head.clutter.length})`), problemTable(head.clutter));
  $('about').append(el('h2', {}, 'Model and settings'), modelTable(head.model, head.versions, head.settings, head.created));
})();
