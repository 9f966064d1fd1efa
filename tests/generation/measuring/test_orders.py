"""Orders of metrics: what image workers measure by themselves, in turns, each image once."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.db.models.functions import Now

from generation import tasks
from generation.measuring import clip, orders
from generation.measuring.rows import Measured
from generation.models import Image, Metric, MetricOrder
from tests.generation.measuring.pictures import make_image
from tests.generation.measuring.test_clip import TEXTS, noise
from tests.generation.rows import make_recipe
from tests.servers.redis_server import RedisServer

pytestmark = pytest.mark.django_db

Callbacks = Callable[..., Any]


def order_for(recipe_name: str = "tiny-clip", *, images: int = 3) -> MetricOrder:
    recipe = make_recipe()
    for seed in range(images):
        make_image(TEXTS[0], noise(seed), sample=seed, recipe=recipe)
    return orders.order_scores([recipe], weights=clip.Weights.told(recipe_name))


def test_a_worker_that_comes_by_measures_what_is_there_and_later_what_came_since(
    clip_root: Path, image_folder: Path
) -> None:
    order = order_for()
    assert orders.progress_of(order) == Measured(0, 3)
    tasks.measure_next()
    order.refresh_from_db()
    assert orders.progress_of(order) == Measured(3, 3)
    assert (order.worker, order.lease_until, order.refusal, orders.due_orders()) == ("", None, "", [])
    make_image(TEXTS[1], noise(9), recipe=make_recipe())
    assert [each.pk for each in orders.due_orders()] == [order.pk]
    assert orders.work_for(60, worker="w") is False
    assert Metric.objects.filter(name="clip_score").count() == 4


def test_a_turn_ends_between_batches_and_says_that_work_is_left(clip_root: Path, image_folder: Path) -> None:
    order = order_for(images=20)
    Metric.objects.all().delete()
    assert orders.work_for(-1, worker="w") is True
    assert orders.progress_of(order).done == 0
    assert orders.work_for(60, worker="w") is False


def test_an_order_in_the_hands_of_a_living_worker_is_left_to_it(clip_root: Path, image_folder: Path) -> None:
    order = order_for()
    MetricOrder.objects.filter(pk=order.pk).update(worker="other", lease_until=Now() + timedelta(minutes=1))
    assert orders.work_for(60, worker="w") is False
    assert not Metric.objects.exists()
    MetricOrder.objects.filter(pk=order.pk).update(lease_until=Now() - timedelta(minutes=1))
    orders.work_for(60, worker="w")
    assert Metric.objects.count() == 3


def test_an_order_that_cannot_be_carried_out_stops_with_its_reason_until_it_is_asked_for_again(
    clip_root: Path, image_folder: Path
) -> None:
    order = order_for("nothing")
    assert orders.work_for(60, worker="w") is False
    order.refresh_from_db()
    assert order.refusal.startswith("There is no folder 'nothing' below the models root")
    orders.order_scores([], weights=clip.Weights.told("nothing"))
    assert len(orders.due_orders()) == 1


def test_a_file_that_is_gone_stops_the_order_after_the_others_were_measured(
    clip_root: Path, image_folder: Path
) -> None:
    order = order_for()
    Image.objects.filter(sample=1).update(file_sha256="0" * 64)
    orders.work_for(60, worker="w")
    order.refresh_from_db()
    assert order.refusal.startswith("1 images could not be measured. The first: ")
    assert Metric.objects.count() == 2


def test_the_reconciler_calls_an_image_worker_only_while_an_order_is_due(
    clip_root: Path, image_folder: Path, broker: RedisServer, django_capture_on_commit_callbacks: Callbacks
) -> None:
    def calls() -> int:
        with broker.client() as client:
            client.flushall()
            with django_capture_on_commit_callbacks(execute=True):
                tasks.reconcile()
            return int(client.llen("gen.cpu"))

    assert calls() == 0
    order_for()
    assert calls() == 1
    orders.work_for(60, worker="w")
    assert calls() == 0


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"value": float("inf")}, "a_metric_is_a_finite_number"),
        ({"name": ""}, "a_metric_has_a_name_and_a_source"),
        ({"recipe": None}, "a_metric_is_of_an_image_or_a_recipe"),
        ({}, "one_metric_per_recipe_name_and_source|UNIQUE constraint failed"),
    ],
)
def test_the_database_refuses_rows_that_mean_nothing(fields: dict[str, object], name: str) -> None:
    whole = {"recipe": make_recipe(), "name": "fid", "value": 1.0, "source": "import"}
    Metric.objects.create(**whole)
    with pytest.raises(IntegrityError, match=name), transaction.atomic():
        Metric.objects.create(**{**whole, **fields})
