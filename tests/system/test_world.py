import pytest
import torch
import torch.distributed as dist

from detkit.errors import ConfigError, ProcessLostError
from detkit.system import world as world_module
from detkit.system.world import ALONE, World


@pytest.mark.parametrize(
    ("count", "group", "parts"),
    [
        (0, 1, [[], [], []]),
        (1, 1, [[0], [], []]),
        (7, 1, [[0, 3, 6], [1, 4], [2, 5]]),
        (7, 2, [[0, 1, 6], [2, 3], [4, 5]]),
        (7, 8, [[0, 1, 2, 3, 4, 5, 6], [], []]),
    ],
)
def test_a_list_is_dealt_out_in_turns(count, group, parts):
    assert [World(rank, 3).own(range(count), group) for rank in range(3)] == parts


def test_the_parts_of_all_processes_share_the_work():
    parts = [World(rank, 2, 1, 4).part(number, 3) for rank in range(2) for number in range(3)]
    assert [part.own(range(8)) for part in parts] == [[0, 6], [1, 7], [2], [3], [4], [5]]
    assert [part.others_number for part in parts] == [(), (1,), (2,), (3,), (4,), (5,)]
    assert World(1, 2).part(0, 1) == World(1, 2)


def test_one_process_owns_everything_and_talks_to_itself():
    tensor = torch.tensor([2.0])
    ALONE.add_up([tensor])
    ALONE.copy_first([tensor])
    ALONE.wait()
    assert tensor.item() == 2.0
    assert ALONE.is_first and ALONE.others_number == ()
    assert ALONE.own([4, 5, 6], 2) == [4, 5, 6]
    assert ALONE.tell("word") == "word"
    assert ALONE.gather([1, 2]) == [1, 2]
    assert ALONE.first_alone(lambda: 7) == 7


def test_a_process_that_torchrun_did_not_start_is_alone(monkeypatch):
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    monkeypatch.setenv("WORLD_SIZE", "4")  # some schedulers set it
    with World.joined() as world:
        assert world == ALONE


@pytest.fixture
def one_of_one(monkeypatch, tmp_path):
    """A real process group of one process that believes to be one of two."""
    dist.init_process_group("gloo", init_method=f"file://{tmp_path / 'meeting'}", rank=0, world_size=1)
    yield World(0, 2)
    dist.destroy_process_group()


def test_the_operations_reach_the_library(one_of_one):
    tensors = [torch.tensor([1.0, 2.0]), torch.tensor([[3.0]])]
    one_of_one.add_up(tensors)
    one_of_one.copy_first(tensors)
    one_of_one.wait()
    assert [t.tolist() for t in tensors] == [[1.0, 2.0], [[3.0]]]
    assert one_of_one.tell({"a": 1}) == {"a": 1}


@pytest.mark.parametrize("kind", [RuntimeError, dist.DistBackendError, dist.DistNetworkError])
def test_the_loss_of_a_process_is_one_line_whatever_the_library_calls_it(monkeypatch, kind):
    def broken(*args, **kwargs):
        raise kind("the peer went away")

    monkeypatch.setattr(world_module.dist, "all_reduce", broken)
    with pytest.raises(ProcessLostError, match=r"^another process of this run has ended; .* goes on from here$"):
        World(0, 2).add_up([torch.zeros(1)])


def test_ranks_come_from_the_environment(monkeypatch):
    joined = []
    for key, value in {"TORCHELASTIC_RUN_ID": "x", "RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1"}.items():
        monkeypatch.setenv(key, value)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    monkeypatch.setattr(world_module.dist, "init_process_group", lambda *a, **k: joined.append(a))
    monkeypatch.setattr(world_module.dist, "destroy_process_group", lambda: joined.append("left"))
    with World.joined() as world:
        assert world == World(5, 8, 1, 4)
    assert len(joined) == 2 and joined[1] == "left"


def test_processes_that_would_make_other_results_are_refused(monkeypatch):
    world = World(1, 2)
    monkeypatch.setattr(World, "tell", lambda self, value: ["finetune 12", "detect 34"])
    world.refuse_unlike(["finetune 12", "detect 34"])
    for planned, named in ((["finetune 12", "detect 99"], "detect 99"), (["finetune 12"], "other steps")):
        with pytest.raises(ConfigError, match=f"^process 1 would make {named}, .* COMPUTE.DTYPE"):
            world.refuse_unlike(planned)


def test_a_bug_in_a_collective_operation_is_no_lost_process(monkeypatch):
    def wrong(*args, **kwargs):
        raise torch.OutOfMemoryError("Connection to the allocator: no memory")

    with pytest.raises(ValueError, match=r"must lie in one piece, got strides \(2, 1\)"):
        World(0, 2).add_up([torch.zeros(3, 2)[:, :1]])
    monkeypatch.setattr(world_module.dist, "all_reduce", wrong)
    with pytest.raises(torch.OutOfMemoryError):
        World(0, 2).add_up([torch.zeros(1)])
