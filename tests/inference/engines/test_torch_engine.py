from __future__ import annotations

import torch

from cspine.inference.engines.torch_engine import TorchEngine


def test_logits_go_to_the_cpu_where_the_card_is_full(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1000, 2000))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "a card")
    engine = TorchEngine(torch.device("cuda", 0), torch.float16)
    assert engine.place_for(399).type == "cuda"
    assert engine.place_for(401).type == "cpu"
