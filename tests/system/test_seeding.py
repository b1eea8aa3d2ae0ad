import hashlib

import numpy as np
import torch

from detkit.system.seeding import rng_for, torch_seed


def test_the_same_names_give_the_same_numbers():
    assert rng_for(3, "finetune", 7).integers(2**60) == rng_for(3, "finetune", 7).integers(2**60)


def test_seed_name_number_and_type_all_count():
    draws = {
        int(rng_for(seed, *names).integers(2**60))
        for seed, names in [
            (3, ("a", 1)),
            (4, ("a", 1)),
            (3, ("a", 2)),
            (3, ("a", "1")),
            (3, ("a1",)),
            (3, ("a",)),
            (3, ()),
        ]
    }
    assert len(draws) == 7


def test_numbers_are_the_same_in_every_process():
    # the seed is the first 16 bytes of sha256 over this text
    digest = hashlib.sha256(b'[3, "finetune", 7]').digest()[:16]
    expected = np.random.default_rng(int.from_bytes(digest, "big")).integers(10**6, size=3)
    assert rng_for(3, "finetune", 7).integers(10**6, size=3).tolist() == expected.tolist() == [518361, 170122, 976297]


def test_torch_draws_depend_on_the_names_alone():
    with torch_seed(1, "dropout", 5):
        first = torch.rand(4)
    torch.rand(100)
    with torch_seed(1, "dropout", 5):
        assert torch.equal(torch.rand(4), first)
    with torch_seed(1, "dropout", 6):
        assert not torch.equal(torch.rand(4), first)


def test_torch_state_outside_is_untouched():
    before = torch.get_rng_state()
    with torch_seed(1, "dropout"):
        torch.rand(10)
    assert torch.equal(torch.get_rng_state(), before)
