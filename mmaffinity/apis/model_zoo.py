"""Build the table of trained models from the metadata that MMDetection's tools read."""

from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from mmaffinity.utils.files import whole_file
from mmaffinity.utils.tables import markdown_table

COLUMNS = ('model', 'trained on', 'tested on', 'metrics', 'hours', 'seed', 'SHA-256 of the weights')


def read_models(index: str | Path) -> list[dict[str, Any]]:
    """Return the models of a model index and of the files that it imports, in order.

    Raises:
        FileNotFoundError: if the index or a file that it imports does not exist.
        ValueError: if one is not a model index, or a model lacks a name, a config, or the data or metrics of a result.
    """
    index = Path(index)
    try:
        content = yaml.safe_load(index.read_text(encoding='utf-8'))
        models = [dict(model, place=str(index)) for model in content.get('Models', [])]
        imports = content.get('Import', [])
    except (yaml.YAMLError, AttributeError) as error:
        raise ValueError(f'{index} is not a model index, which is YAML with the keys Models or Import: {error}') from error
    for number, model in enumerate(models):
        for place, entry, keys in (
            (f'model {number}', model, ('Name', 'Config')),
            *((f'a result of model {number}', result, ('Dataset', 'Metrics')) for result in model.get('Results', [])),
        ):
            missing = [key for key in keys if key not in entry]
            if missing:
                raise ValueError(f'{index}: {place} lacks {" and ".join(missing)}')
    for name in imports:
        models += read_models(index.parent / name)
    return models


def model_table(index: str | Path) -> str:
    """Return the table: one row per model and test set, for models with results.

    Raises:
        FileNotFoundError: if the index, a file that it imports or a config does not exist.
        ValueError: if one is not a model index.
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
    return markdown_table(COLUMNS, rows, 'l' * len(COLUMNS)) + '\n'


def write_model_table(index: str | Path, page: str | Path) -> None:
    """Replace the table in a Markdown page with that of a model index.

    Raises:
        FileNotFoundError: if the page does not exist, or as for :func:`model_table`.
        ValueError: if the page has no such table, or as for :func:`model_table`.
    """
    table, text = model_table(index), Path(page).read_text(encoding='utf-8')
    header = table.partition('\n')[0]
    start = text.find(header)
    if start < 0:
        raise ValueError(f'{page} has no table that starts with {header!r}: insert this line where the table belongs')
    end = text.find('\n\n', start) + 1 or len(text)
    with whole_file(page) as file:
        file.write((text[:start] + table + text[end:]).encode())
