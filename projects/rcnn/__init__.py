"""R-CNN (Girshick et al., CVPR 2014), put together from registered components: the recipes beside this file."""
