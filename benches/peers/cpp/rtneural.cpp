// RTNeural, one layer of sizes that it is compiled for: `GATEWISE_LAYER` (LSTMLayerT or GRULayerT), `GATEWISE_INPUT` and
// `GATEWISE_HIDDEN`. RTNeural's own variables choose its backend.

#include <RTNeural.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "peer.hpp"

namespace {

constexpr int INPUT = GATEWISE_INPUT, HIDDEN = GATEWISE_HIDDEN;
/// Floats from one step's input to the next: whole cache lines, as its loads of whole vectors want them, with zeros after the input.
constexpr int STRIDE = (INPUT + 15) / 16 * 16;

using Layer = RTNeural::GATEWISE_LAYER<float, INPUT, HIDDEN>;
using Model = RTNeural::ModelT<float, INPUT, HIDDEN, Layer>;

/// All that is read and written: far too large for a stack, and its vectors want to be aligned.
struct State {
    Model model;
    struct alignas(64) Step {
        float x[STRIDE];
    };
    std::vector<Step> x;
    std::vector<float> y;
};

/// A matrix as rows, for its loader.
std::vector<std::vector<float>> rows(const std::vector<float>& values, int columns) {
    std::vector<std::vector<float>> all;
    for (auto at = values.begin(); at != values.end(); at += columns) all.emplace_back(at, at + columns);
    return all;
}

/// Its loader of a PyTorch network's weights puts the gates into its order.
void load(Layer& layer, const peer::Arrays& arrays, const std::string& cell) {
    nlohmann::json weights;
    weights["weight_ih_l0"] = rows(arrays.at("weight_ih_l0"), INPUT);
    weights["weight_hh_l0"] = rows(arrays.at("weight_hh_l0"), HIDDEN);
    for (const char* name : {"bias_ih_l0", "bias_hh_l0"}) weights[name] = arrays.at(name);
    if constexpr (std::is_same_v<Layer, RTNeural::LSTMLayerT<float, INPUT, HIDDEN>>) {
        if (cell != "lstm") throw std::runtime_error("it was compiled for lstm");
        RTNeural::torch_helpers::loadLSTM<float>(weights, "", layer);
    } else {
        if (cell != "gru") throw std::runtime_error("it was compiled for gru");
        RTNeural::torch_helpers::loadGRU<float>(weights, "", layer);
    }
}

/// The compiler must take it that all memory is read and written here.
void touch() { asm volatile("" ::: "memory"); }

int run(const peer::Work& work) {
    if (work.input != INPUT || work.hidden != HIDDEN) throw std::runtime_error("it was compiled for other sizes");
    const peer::Arrays arrays = peer::load(work.problem);
    const auto state = std::make_unique<State>();
    Model& model = state->model;
    load(model.get<0>(), arrays, work.cell);
    const std::vector<float>& x = arrays.at("x");
    state->x.resize(work.steps());
    for (int t = 0; t < work.steps(); ++t) std::copy_n(x.begin() + t * INPUT, INPUT, state->x[t].x);
    state->y.resize(work.steps() * HIDDEN);

    // Carries the state on.
    const auto step = [&] {
        touch();
        model.forward(state->x[0].x);
    };
    const auto forward = [&] {
        touch();
        model.reset();
        for (int t = 0; t < work.steps(); ++t) {
            model.forward(state->x[t].x);
            std::copy_n(model.getOutputs(), HIDDEN, &state->y[t * HIDDEN]);
        }
    };
    model.reset();
    if (work.pass == "step") {
        step();
        std::copy_n(model.getOutputs(), HIDDEN, state->y.begin());
    } else {
        forward();
    }
    peer::save(work.out, {{"y", state->y}});
    return work.pass == "step" ? peer::serve(GATEWISE_VERSION, GATEWISE_NOTE, step) : peer::serve(GATEWISE_VERSION, GATEWISE_NOTE, forward);
}

}  // namespace

int main(int count, char** words) { return peer::run(count, words, run); }
