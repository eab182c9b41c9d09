"""The scope ``mmaffinity`` of MMEngine's registries.

The modules of this package are registered in MMDetection's own registries, so that its configs name them without a prefix.
A config that inherits one of ours from an installed package (``_base_ = 'mmaffinity::affinity/affinity_c8.py'``) is built in
the scope ``mmaffinity``: MMEngine imports this module for it, and finds in each of its registries whatever MMDetection's has.
"""

from mmdet import registry as mmdet_registry
from mmengine.config.utils import MODULE2PACKAGE
from mmengine.registry import Registry

SCOPE = 'mmaffinity'

# The names that MMEngine accepts before '::' are those of OpenMMLab's packages and this one.
MODULE2PACKAGE.setdefault(SCOPE, SCOPE)

REGISTRIES = {
    name: Registry(registry.name, parent=registry, scope=SCOPE, locations=[f'{SCOPE}.registration'])
    for name, registry in vars(mmdet_registry).items()
    if isinstance(registry, Registry) and registry.scope == 'mmdet'
}
