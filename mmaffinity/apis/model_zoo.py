"""The table of trained models, from the metadata that MMDetection's tools read."""

from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from mmaffinity.utils.files import whole_file

HEADER = """# Model zoo

Trained models of this project: how they were trained, on what, and their results. This page is generated from
`model-index.yml` by `mmaffinity model-zoo`; [public_results.md](public_results.md) has the commands, intervals and
comparisons behind the figures. Research use only; not a medical device.

No weights are shipped, because the terms of the data exclude commercial use. The config, its seed and the SHA-256 of the
weights identify a model; training on another machine changes the last bits, and therefore the SHA-256.
"""
PUBLISHING = """
## Publishing your own weights

1. Check the terms of your training data. Weights are derived from them, and the strictest terms apply.
2. Export the model as files that are safe to open; this also prints the SHA-256 of the weights:

   ```
   mmaffinity export safetensors CONFIG CHECKPOINT shared/NAME
   ```

3. Test it on patients that were not used for training: `mmaffinity test CONFIG CHECKPOINT --out results.json`, and
   `mmaffinity report` for intervals.
4. Add an entry to the `metafile.yml` next to the config, with `Training Data`, `Seed`, `Training Hours`, `Weights SHA256`
   and `Results`, and run `mmaffinity model-zoo`.
5. Upload `NAME.safetensors` and `NAME.json` together, with a model card: [model_card.md](model_card.md) is a template.
"""
COLUMNS = ('model', 'trained on', 'tested on', 'metrics', 'hours', 'seed', 'SHA-256 of the weights')


def read_models(index: str | Path) -> list[dict[str, Any]]:
    """Return the models of a model index and of the files that it imports, in order.

    Raises:
        FileNotFoundError: if a file does not exist.
        ValueError: if one is no model index, or a model's config does not exist.
    """
    index = Path(index)
    try:
        content = yaml.safe_load(index.read_text(encoding='utf-8'))
        models = [dict(model, place=str(index)) for model in content.get('Models', [])]
        imports = content.get('Import', [])
    except (yaml.YAMLError, AttributeError) as error:
        raise ValueError(f'{index} is no model index: {error}') from error
    for name in imports:
        models += read_models(index.parent / name)
    return models


def model_zoo(index: str | Path) -> str:
    """Return the page: one row per model and test set, for models with results.

    Raises:
        FileNotFoundError: if the index, a file that it imports or a config does not exist.
        ValueError: if one is no model index.
    """
    root, rows = Path(index).parent, []
    for model in read_models(index):
        if not (root / model['Config']).is_file():
            raise FileNotFoundError(f'{model["place"]} names the config {model["Config"]}, which does not exist')
        metadata = model.get('Metadata', {})
        for result in model.get('Results', []):
            metrics = ', '.join(f'{name} {value}' for name, value in result['Metrics'].items())
            digest = metadata.get('Weights SHA256')
            hours, seed = (str(metadata.get(key, '')) for key in ('Training Hours', 'Seed'))
            data = metadata.get('Training Data', '')
            data = data if isinstance(data, str) else ', '.join(data)
            rows.append(
                [
                    f'[{model["Name"]}](../{model["Config"]})',
                    data,
                    result['Dataset'],
                    metrics,
                    hours,
                    seed,
                    f'`{digest[:16]}`' if digest else '',
                ]
            )
    table = [' | '.join(row) for row in (COLUMNS, ['---'] * len(COLUMNS), *rows)]
    return HEADER + '\n' + '\n'.join(f'| {row} |' for row in table) + '\n' + PUBLISHING


def write_model_zoo(index: str | Path, out: str | Path) -> None:
    """Write the page of :func:`model_zoo`."""
    page = model_zoo(index).encode()
    with whole_file(out) as file:
        file.write(page)
