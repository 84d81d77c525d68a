"""Digests and effect keys are the same for the same intent, and other for any other."""

from playbooks.effects import EFFECT_KEY, effect_key, plan_digest, with_key


def test_the_same_intent_has_the_same_key_for_ever():
    assert effect_key("d" * 64, 1, "forward") == effect_key("d" * 64, 1, "forward")


def test_each_part_of_the_intent_changes_the_key(settings):
    key = effect_key("d" * 64, 1, "forward")
    others = {
        effect_key("e" * 64, 1, "forward"),
        effect_key("d" * 64, 2, "forward"),
        effect_key("d" * 64, 1, "backward"),
        effect_key("d" * 64, 1, "forward", 1),
    }
    settings.ENVIRONMENT = "prod"

    assert key not in others | {effect_key("d" * 64, 1, "forward")}
    assert len(others) == 4


def test_a_key_fits_every_target():
    key = effect_key("d" * 64, 20, "backward", 3)

    assert len(key) == 40
    assert key.isalnum()


def test_the_key_takes_its_placeholders_place_at_any_depth():
    undo = {"operation": "credit_note.reverse", "parameters": {"reference": EFFECT_KEY, "lines": [EFFECT_KEY, 1, None]}}

    filled = with_key(undo, "k1")

    assert filled == {"operation": "credit_note.reverse", "parameters": {"reference": "k1", "lines": ["k1", 1, None]}}
    assert undo["parameters"]["reference"] == EFFECT_KEY


def test_a_plans_digest_covers_what_it_is_given():
    content = {"incident": 1, "steps": [{"parameters": {"amount": "84.00"}}]}

    assert plan_digest(content) == plan_digest({"steps": [{"parameters": {"amount": "84.00"}}], "incident": 1})
    assert plan_digest(content) != plan_digest({"incident": 1, "steps": [{"parameters": {"amount": "84.01"}}]})
