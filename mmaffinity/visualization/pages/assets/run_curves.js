// ROC and reliability curves of the selected run.
function chart(title, text, options, values) {
  const place = el('div'),
    width = Math.min(460, document.documentElement.clientWidth - 40);
  $('curves').append(el('div', {}, el('h2', {}, title), place, el('p', {class: 'faint'}, text)));
  new uPlot(
    {
      width,
      height: 300,
      cursor: {drag: {x: false, y: false}},
      legend: {live: false},
      ...options,
      scales: {x: {time: false, range: [0, 1]}, y: {range: [0, 1]}},
    },
    values,
    place,
  );
}

function showCurves() {
  const {classes, roc, reliability} = run;
  $('curves').replaceChildren();
  if (roc && roc.some(Boolean)) {
    const rates = Array.from({length: 101}, (_, at) => at / 100),
      known = classes.map((name, k) => [name, roc[k]]).filter(([, curve]) => curve);
    chart(
      'ROC, each class versus the rest',
      known.map(([name, curve]) => `AUC of ${name}: ${fixed(curve.auc, 4)}`).join('; '),
      {
        axes: [
          {label: 'false positive rate', size: 44},
          {label: 'true positive rate', size: 55},
        ],
        series: [{}, ...known.map(([name], at) => ({label: name, ...line(at)}))],
      },
      [rates, ...known.map(([, curve]) => curve.true)],
    );
  }
  if (reliability) {
    const filled = reliability.count.map((_, at) => at).filter(at => reliability.count[at]);
    chart(
      'Reliability',
      `Accuracy by confidence; the dashed line is ideal. ECE ${fixed(100 * reliability.ece, 2)} %. Slices per bin: ${filled.map(at => reliability.count[at]).join(', ')}.`,
      {
        axes: [
          {label: 'probability of the predicted class', size: 44},
          {label: 'accuracy', size: 55},
        ],
        series: [{}, {label: 'ideal', ...line(3)}, {label: 'model', ...line(0), points: {show: true, size: 8}}],
      },
      [
        [0, ...filled.map(at => reliability.confidence[at]), 1],
        [0, ...filled.map(at => reliability.confidence[at]), 1],
        [null, ...filled.map(at => reliability.accuracy[at]), null],
      ],
    );
  }
}
