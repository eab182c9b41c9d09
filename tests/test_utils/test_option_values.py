import pytest

from mmaffinity.utils.option_values import option_text, parse_value


@pytest.mark.parametrize(
    'text, value',
    [
        ('1', 1),
        ('1e-5', 1e-5),
        ('true', True),
        ('None', None),
        ('text', 'text'),
        ('', ''),
        ('1,2,3', [1, 2, 3]),
        ('[a, b, c]', ['a', 'b', 'c']),
        ('[(1, 2, 3), [a, b], c]', [(1, 2, 3), ['a', 'b'], 'c']),
        ('(1,2),(3,4)', [(1, 2), (3, 4)]),
        ('(1)', (1,)),
        ('[]', []),
        ('a=b', 'a=b'),
    ],
)
def test_values_of_every_kind(text, value):
    found = parse_value(text)
    assert found == value and type(found) is type(value)
    assert parse_value(option_text(value)) == value


@pytest.mark.parametrize(
    'text, value',
    [
        ('/my data/CT (2020)', '/my data/CT (2020)'),
        ('[/my data/a.json, /my data/b.json]', ['/my data/a.json', '/my data/b.json']),
        ("'/data/a,b'", '/data/a,b'),
        ('"2020"', '2020'),
        ("['0', '1']", ['0', '1']),
        ("/data/it's here", "/data/it's here"),
        ('/data/a(b,c)', '/data/a(b,c)'),
    ],
)
def test_text_keeps_spaces_and_quotes_protect_the_rest(text, value):
    assert parse_value(text) == value
    assert parse_value(option_text(value)) == value


@pytest.mark.parametrize('text', ['[(]', '[1,2', '1,2]', "'a,b"])
def test_unbalanced_brackets_and_quotes(text):
    with pytest.raises(ValueError, match='unbalanced brackets or quotes'):
        parse_value(text)


def test_text_with_both_kinds_of_quotes():
    with pytest.raises(ValueError, match='contains both kinds'):
        option_text('\'a,"')
