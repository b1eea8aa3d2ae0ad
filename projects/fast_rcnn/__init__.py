"""Fast R-CNN (Girshick, ICCV 2015): RoI pooling, and one network that is trained to score regions and to move them."""

from . import objective as objective
from . import roi_pool as roi_pool
from . import sampler as sampler
from . import svd as svd
