"""A member goes on to learn words: a T5 encoder of its own, a step that is recorded where there is a graphics card."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from django.conf import settings
from torch import nn

from generation.training.family import MEMBERS, Spelling
from generation.training.loop import Trainer
from generation.training.recorded import RecordedTrainer
from generation.training.shipped import recover_states
from generation.training.spelling import draw_shards
from generation.training.stages import Workshop, spelling_stage

PLAN = Spelling(t5_steps=2, steps=2, batch=3, shards=1, scenes=6)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """The shipped family, its best member as it was before it learnt to spell."""
    shop = Workshop(tmp_path_factory.mktemp("work"))
    assert list(recover_states(shop, Path(settings.MODELS_ROOT)))
    shop.own_t5("tiny-sd3").unlink(missing_ok=True)
    return shop


def test_a_member_learns_to_spell_with_a_t5_encoder_of_its_own(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    done = shop.steps_done("tiny-sd3")
    member = replace(MEMBERS["tiny-sd3"], steps=done, spelling=PLAN)
    before, shared = shop.denoiser(member, checkpoint=member.name).state_dict(), shop.text_encoders()
    assert [now.step for now in spelling_stage(shop, member).run()] == [0, 1, 3, 5]
    after, own = shop.denoiser(member, checkpoint=member.name).state_dict(), shop.text_encoders(member.name)
    assert (shop.steps_done(member.name), shop.warm_from(member.name)) == (done + 2, done)
    assert not torch.equal(after["transformer.proj_out.weight"], before["transformer.proj_out.weight"])
    assert not torch.equal(own.t5.shared.weight, shared.t5.shared.weight)
    for name, value in own.clip.state_dict().items():
        assert torch.equal(value, shared.clip.state_dict()[name]), name
    others = shop.text_encoders("tiny-sd3-mid").t5.state_dict()
    assert all(torch.equal(value, others[name]) for name, value in shared.t5.state_dict().items())
    assert shop.spelling_of("tiny-sd3-mid") == {}
    told = {name: value for name, value in shop.spelling_of(member.name).items() if name != "device"}
    assert told == {"t5_steps": 2, "steps": 2, "batch": 3, "scenes": 6}
    assert list(spelling_stage(shop, member).run()) == []


def test_scenes_that_are_drawn_are_not_drawn_again(tmp_path: Path) -> None:
    assert [now.step for now in draw_shards(tmp_path, shards=1, scenes=3, processes=1)] == [0, 1]
    first = (tmp_path / "0000.npz").read_bytes()
    assert [now.step for now in draw_shards(tmp_path, shards=2, scenes=3, processes=1)] == [1, 2]
    assert (tmp_path / "0000.npz").read_bytes() == first


def test_a_recorded_trainer_takes_the_steps_of_the_plain_one(tmp_path: Path) -> None:
    def module() -> nn.Module:
        torch.manual_seed(1)
        return nn.Sequential(nn.Linear(9, 12), nn.GELU(), nn.Linear(12, 8))

    shown = torch.randn(20, 9, generator=torch.Generator().manual_seed(2))
    wanted = torch.randn(20, 8, generator=torch.Generator().manual_seed(3))
    plain, recorded = module(), module()
    trainer = Trainer(plain, state_file=tmp_path / "state.pt", learning_rate=0.02, seed=1, cool_down=0.5)
    for _ in trainer.run(lambda generator, step: (plain(shown) - wanted).square().mean(), steps=12):
        pass
    other = RecordedTrainer(recorded, lambda: (recorded(shown) - wanted).square().mean(), learning_rate=0.02)
    assert [now.step for now in other.run(steps=12, cool_down=0.5)] == [12]
    for one, two in zip(plain.parameters(), recorded.parameters(), strict=True):
        assert torch.allclose(one, two, atol=1e-6)
    other.take_average()
    for (name, _), two in zip(plain.named_parameters(), recorded.parameters(), strict=True):
        assert torch.allclose(trainer.average[name], two, atol=1e-6), name
