"""Makes the small backbones that ship in the wheel: ``python -m tools.pretrain --help``.

Five steps, each a command: ``pack`` decodes a folder of class folders once, ``teach`` stores what
pretrained teachers say of fixed views of every image, ``train`` trains a student on labels and those
answers, ``export`` writes weights, index entry and model card, ``reference`` the statistics by which
the similarity of other data to the source is measured.
"""
