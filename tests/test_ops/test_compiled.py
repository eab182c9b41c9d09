"""Operations of mmcv that this package does not replace: loaded if they are compiled, named if they are not."""

import mmcv
import pytest

from mmaffinity.ops import compiled, is_compiled, load_compiled


def test_unknown_operations():
    with pytest.raises(ValueError, match="'RoIAllign' is not an operation of this package"):
        load_compiled('RoIAllign')


@pytest.mark.skipif(is_compiled(), reason='mmcv is installed with compiled operations')
def test_error_names_the_type_in_the_config_and_the_command_that_compiles_mmcv():
    with pytest.raises(
        ValueError, match=r"^'DCNv2' \(ModulatedDeformConv2dPack\) is not an operation.* are not compiled"
    ) as caught:
        load_compiled('ModulatedDeformConv2dPack', 'DCNv2')
    assert f'--no-binary onedl-mmcv onedl-mmcv=={mmcv.__version__} ' in str(caught.value)
    with pytest.raises(ValueError, match="^'RoIPool' is not an operation"):
        load_compiled('RoIPool', 'RoIPool')


@pytest.mark.skipif(not is_compiled(), reason='mmcv is installed without compiled operations')
def test_compiled_operations_are_those_of_mmcv():
    assert load_compiled('soft_nms') is __import__('mmcv.ops').ops.soft_nms


@pytest.mark.skipif(is_compiled(), reason='mmcv is installed with compiled operations')
def test_operations_compiled_for_another_torch_are_told_from_missing_ones(monkeypatch):
    monkeypatch.setattr(compiled, 'is_compiled', lambda: True)
    with pytest.raises(ValueError, match=r"'RoIPool' .* are compiled but cannot be loaded \(.*mmcv"):
        load_compiled('RoIPool')
