"""Graphs as layers of hls4ml: their types, the layers that move elements, what is refused and why."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mase.ir import Graph, MaseError
from mase.runtime.hls.options import HlsOptions
from mase.runtime.hls.printer import Network, print_network
from tests.runtime import integer_graphs
from tests.runtime.hls.models import FORMATS, MODELS, Convolutional, Model, Written, quantized


def network(name: str, **options: str) -> Network:
    return print_network(MODELS[name].graph(), HlsOptions(**options))  # type: ignore[arg-type]


def types(found: Network) -> dict[str, dict[str, str]]:
    return {layer.name: layer.types for layer in found.layers}


def kinds(found: Network) -> list[str]:
    return [layer.kind for layer in found.layers]


def test_each_layer_has_types_of_its_own() -> None:
    found = types(network("formats of each layer"))
    assert found["x"]["result"] == "fixed<8,4,RND_CONV,SAT>"
    assert found["relu"]["result"] == "fixed<4,3,RND,SAT>"
    assert found["relu_1"]["result"] == "fixed<4,2,TRN,SAT_SYM>"
    assert len({each["accum"] for each in found.values() if "accum" in each}) == 3


def test_sums_have_as_many_bits_as_the_real_weights_need() -> None:
    net = nn.Linear(4, 1)
    nn.init.constant_(net.weight, 1.0)
    nn.init.zeros_(net.bias)
    formats = 'quantize{default={data_in="fixed<8,4>",weight="fixed<4,2>"}}'
    found = print_network(quantized(net, torch.randn(2, 4), formats), HlsOptions())
    # 4 * 1.0 * -8 = -32 needs 6 bits with the sign; 1.0 has no bits after the point, 8,4 has 4.
    assert found.layers[-1].types == {
        "result": "fixed<10,6>",
        "accum": "fixed<10,6>",
        "weight": "ufixed<1,1>",
        "bias": "ufixed<1,1>",
    }


def test_a_quantizer_is_the_type_of_the_layer_before_it() -> None:
    found = print_network(quantized(Convolutional(), torch.randn(2, 2, 8, 8)), HlsOptions())
    assert kinds(found).count("Activation") == 3  # the relus; no layer only rounds
    assert types(found)["add"]["result"] == "fixed<8,4,RND_CONV,SAT>"


def test_images_come_channels_last_and_views_move_nothing() -> None:
    found = network("channels last")
    assert (found.input_axes, found.layers[0].shape) == ((1, 2, 0), (6, 6, 2))
    assert "Transpose" not in kinds(found)
    assert network("sequence").input_axes == (0, 1)


def test_a_model_that_takes_channels_last_itself_moves_nothing() -> None:
    net = Written(lambda m, x: m.a(x.transpose(1, 2)), a=nn.Conv1d(3, 2, 3))
    found = print_network(quantized(net, torch.randn(2, 6, 3)), HlsOptions())
    assert found.input_axes == (0, 1)
    assert "Transpose" not in kinds(found)


def test_an_input_in_two_formats_keeps_the_bits_that_decide() -> None:
    assert types(network("input in two formats"))["x"]["result"] == "fixed<64,16,RND,SAT>"


def test_averages_are_convolutions() -> None:
    found = network("average pool")
    (pool,) = (layer for layer in found.layers if layer.kind == "DepthwiseConv2D")
    weights = pool.attributes["depthwise_data"]
    assert weights.shape == (3, 3, 3, 1)
    assert abs(weights - 1 / 9).max() < 1e-4


def test_depthwise_convolutions_of_a_network_run_over_as_many_dimensions() -> None:
    """hls4ml's headers for one and for two dimensions share an include guard, so one of them is lost."""
    images = Model(
        lambda: Written(lambda m, x: m.a(x).mean((2, 3)), a=nn.Conv2d(2, 2, 3, groups=2)), (2, 5, 5)
    )
    assert kinds(print_network(images.graph(), HlsOptions())).count("DepthwiseConv2D") == 2
    times = Model(lambda: Written(lambda m, x: m.a(x).mean(2), a=nn.Conv1d(2, 2, 3, groups=2)), (2, 5))
    assert kinds(print_network(times.graph(), HlsOptions())).count("DepthwiseConv1D") == 2


def test_depthwise_convolutions_are_filled_with_zeros_where_there_are_none() -> None:
    graph = quantized(Convolutional(), torch.randn(2, 2, 8, 8))
    assert "DepthwiseConv2D" not in kinds(print_network(graph, HlsOptions(backend="Quartus")))


def test_a_padded_pool_has_a_signed_type() -> None:
    """hls4ml pads with the sign bit alone, which is the largest number of an unsigned type, not the least."""
    assert types(network("padded max-pool"))["max_pool2d"]["result"] == "fixed<8,4>"


INT8 = 'quantize{default={data_in="int<8>",weight="int<8>"},scales="dynamic"}'

REFUSED: dict[str, Model] = {
    "tables of its own": Model(lambda: nn.Sequential(nn.Linear(4, 4), nn.Softmax(-1)), (4,)),
    "results are floats": Model(lambda: nn.Sequential(nn.Linear(4, 4), nn.Tanh()), (4,)),
    "computes them wrongly": Model(
        lambda: Written(lambda m, x: m.a(x) @ m.b(x).transpose(1, 2), a=nn.Linear(6, 5), b=nn.Linear(6, 5)),
        (3, 6),
    ),
    "computes gates": Model(
        lambda: Written(lambda m, x: m.a(x)[0], a=nn.LSTM(6, 5, batch_first=True)), (3, 6)
    ),
    "no powers of two": Model(lambda: nn.Linear(4, 4), (4,), INT8),
    "weights are floats": Model(
        lambda: nn.Linear(4, 4), (4,), 'quantize{default={data_in="fixed<8,4>"}}'
    ),
    "as padding by reflection does": Model(
        lambda: nn.Conv2d(2, 2, 3, padding=1, padding_mode="reflect"), (2, 5, 5)
    ),
    "divisor of their own": Model(lambda: nn.AvgPool2d(3, 2, padding=1, count_include_pad=False), (2, 8, 8)),
    "unlike sizes": Model(lambda: nn.AdaptiveAvgPool2d(3), (2, 8, 8)),
    "65,536 entries": Model(
        lambda: nn.Sigmoid(), (4,),
        'quantize{default={data_in="fixed<16,8>"},rules=[{op="nn.sigmoid",data_out="fixed<8,7>"}]}',
    ),
    "another number than 0": Model(
        lambda: Written(lambda m, x: m.a(F.pad(x, (1, 1), value=1.0)), a=nn.Conv1d(2, 2, 3)), (2, 6)
    ),
    "a part of a value": Model(lambda: Written(lambda m, x: m.a(x[:, :2]), a=nn.Conv1d(2, 2, 3)), (4, 6)),
}  # fmt: skip


@pytest.mark.parametrize("reason", REFUSED)
def test_what_is_not_exact_is_refused(reason: str) -> None:
    with pytest.raises(MaseError, match=reason) as caught:
        print_network(REFUSED[reason].graph(), HlsOptions())
    assert all(d.help for d in caught.value.diagnostics)


def test_streams_have_no_overlapping_pools() -> None:
    graph = Model(lambda: nn.Sequential(nn.Conv2d(2, 2, 3), nn.MaxPool2d(3, 2)), (2, 9, 9)).graph()
    with pytest.raises(MaseError, match="windows side by side"):
        print_network(graph, HlsOptions(io_type="io_stream"))
    print_network(graph, HlsOptions())


def test_tables_are_for_backends_that_have_them() -> None:
    with pytest.raises(MaseError, match="Vitis and Vivado only"):
        network("functions", backend="Quartus")


def test_all_that_is_refused_is_said_at_once() -> None:
    two = Written(lambda m, x: m.a(x) + m.b(x), a=nn.LayerNorm(4), b=nn.LayerNorm(4))
    with pytest.raises(MaseError) as caught:
        print_network(quantized(two, torch.randn(2, 4), FORMATS), HlsOptions())
    assert len(caught.value.diagnostics) == 2


# ---------------------------------------------------------------------------------------- level integer


def integers(name: str, **formats: str) -> Graph:
    model, x = integer_graphs.MODELS[name]()
    graph = integer_graphs.quantized(model, x, options="requant = dyadic", **formats)
    return integer_graphs.legalized(graph)


def test_scales_of_channels_are_multipliers_and_stay_with_the_host_at_the_ports() -> None:
    found = print_network(integers("jets", data_in="int<8>", weight="int<6,channel=0>"), HlsOptions())
    assert found.layers[0].types == {"result": "fixed<8,8>"}
    assert found.port.scale == pytest.approx(0.029, abs=0.002)
    assert found.scales is not None
    assert len(np.array(found.scales["scale"])) == 5
    first = found.layers[2]
    assert (first.kind, first.types["result"]) == ("BatchNormalization", "ufixed<7,7,RND_CONV,SAT>")
    assert len(set(first.attributes["scale_data"])) == 64


def test_scales_that_are_powers_of_two_are_fixed_point() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 3))
    integer_graphs.scale_to_powers_of_two(model, 6)
    formats = {"data_in": "int<8>", "weight": "int<6,narrow>"}
    graph = integer_graphs.quantized(model, torch.randn(50, 4), **formats)
    with pytest.raises(MaseError, match="no powers of two"):
        print_network(graph, HlsOptions())
    integer_graphs.snap_scales(graph)
    found = print_network(graph, HlsOptions())
    assert found.layers[0].types["result"].startswith("fixed<8,")
    assert found.layers[0].types["result"].endswith("RND_CONV,SAT>")


def test_zero_points_are_refused() -> None:
    with pytest.raises(MaseError, match="zero point"):
        print_network(integers("toy", data_in="uint<8,asym>", weight="int<8>"), HlsOptions())


def test_a_requantizer_by_one_is_no_batch_norm() -> None:
    """hls4ml would remove it, and with it the type that saturates."""
    net = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))
    torch.nn.init.constant_(net[0].weight, 1.0)
    formats = (
        'quantize{default={data_in="fixed<4,0>",weight="fixed<4,0>"} '
        'rules=[{node="*_2", data_in="fixed<3,-1>"}]},legalize-casts'
    )
    found = print_network(quantized(net, torch.randn(2, 4), formats), HlsOptions())
    factors = [layer.attributes["scale_data"] for layer in found.layers if layer.kind == "BatchNormalization"]
    assert all((factor != 1).any() for factor in factors)
    assert any(each.get("result") == "ufixed<3,3,RND_CONV,SAT>" for each in types(found).values())


def test_indices_and_second_outputs_are_refused_by_name() -> None:
    embedded = nn.Sequential(nn.Embedding(9, 4), nn.Flatten(), nn.Linear(12, 2))
    two = Written(lambda m, x: (m.a(x), m.b(x)), a=nn.Linear(4, 2), b=nn.Linear(4, 2))
    cases = [
        (quantized(embedded, torch.arange(6).view(2, 3)), "input", "takes numbers"),
        (quantized(two, torch.randn(2, 4)), "b", "one input and one output"),
    ]
    for graph, name, reason in cases:
        with pytest.raises(MaseError, match=reason) as caught:
            print_network(graph, HlsOptions())
        assert caught.value.diagnostics[0].node == name
