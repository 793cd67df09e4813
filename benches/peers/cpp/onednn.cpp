// oneDNN's recurrent primitives. Layers of equal sizes in one direction are one primitive, others one each.

#include <dnnl.hpp>

#include <algorithm>
#include <cstring>
#include <functional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "peer.hpp"

namespace {

using dnnl::memory;
using Tag = memory::format_tag;
using Arguments = std::unordered_map<int, memory>;

/// Engine and stream of all that is computed.
struct Device {
    dnnl::engine engine{dnnl::engine::kind::cpu, 0};
    dnnl::stream stream{engine};

    void copy(memory& from, memory& to) {
        dnnl::reorder(from, to).execute(stream, from, to);
        stream.wait();
    }
};

/// Reads and writes the floats of a memory whose layout is plain.
template <typename Visit>
void visit(memory& memory, Visit&& visit) {
    float* values = memory.map_data<float>();
    visit(values);
    memory.unmap_data(values);
}

void zero(memory& memory) {
    visit(memory, [&](float* values) { std::memset(values, 0, memory.get_desc().get_size()); });
}

/// Layers that are one primitive.
struct Stage {
    int first, layers, input;
};

std::vector<Stage> stages(const peer::Work& work) {
    if (!work.bidirectional && work.input == work.hidden) return {{0, work.layers, work.input}};
    std::vector<Stage> all;
    for (int layer = 0; layer < work.layers; ++layer) all.push_back({layer, 1, work.layer_input(layer)});
    return all;
}

/// Forward, and in training backward.
struct Descriptors {
    dnnl::primitive_desc forward, backward;
};

/// The layouts of a stage: plain for sequences and states, `any` for weights. A state that is not given is zero and not answered.
struct Layouts {
    memory::desc x, y, h, c, weights_layer, weights_iter, bias;
};

int gates(const peer::Work& work) { return work.cell == "lstm" ? 4 : work.cell == "gru" ? 3 : 1; }

/// The hidden unit's sum of the GRU has a bias of its own.
int biases(const peer::Work& work) { return gates(work) + (work.cell == "gru" ? 1 : 0); }

memory::desc weights_desc(const peer::Work& work, const Stage& stage, int input, Tag tag) {
    return {{stage.layers, work.directions(), input, gates(work), work.hidden}, memory::data_type::f32, tag};
}

Layouts layouts(const peer::Work& work, const Stage& stage) {
    const auto f32 = memory::data_type::f32;
    const int directions = work.directions();
    Layouts all;
    all.x = {{work.steps(), work.batch, stage.input}, f32, Tag::tnc};
    all.y = {{work.steps(), work.batch, directions * work.hidden}, f32, Tag::tnc};
    if (work.pass != "forward") all.h = {{stage.layers, directions, work.batch, work.hidden}, f32, Tag::ldnc};
    if (work.cell == "lstm") all.c = all.h;
    all.weights_layer = weights_desc(work, stage, stage.input, Tag::any);
    all.weights_iter = weights_desc(work, stage, work.hidden, Tag::any);
    all.bias = {{stage.layers, directions, biases(work), work.hidden}, f32, Tag::ldgo};
    return all;
}

Descriptors describe(const Device& device, const peer::Work& work, const Layouts& l) {
    const bool trains = work.pass == "train";
    const auto kind = trains ? dnnl::prop_kind::forward_training : dnnl::prop_kind::forward_inference;
    const auto back = dnnl::prop_kind::backward;
    const auto direction = work.bidirectional ? dnnl::rnn_direction::bidirectional_concat
                                              : dnnl::rnn_direction::unidirectional_left2right;
    const auto& [x, y, h, c, layer, iter, bias] = l;
    // Of a state that training starts from only the gradient is asked for.
    const memory::desc h_n = trains ? memory::desc() : h, c_n = trains ? memory::desc() : c;
    Descriptors all;
    if (work.cell == "lstm") {
        const dnnl::lstm_forward::primitive_desc forward(device.engine, kind, direction, x, h, c, layer, iter, bias, y, h_n, c_n);
        if (trains) {
            all.backward = dnnl::lstm_backward::primitive_desc(device.engine, back, direction, x, h, c, layer, iter, bias, y, h_n,
                c_n, x, h, c, layer, iter, bias, y, h_n, c_n, forward);
        }
        all.forward = forward;
    } else if (work.cell == "gru") {
        const dnnl::lbr_gru_forward::primitive_desc forward(device.engine, kind, direction, x, h, layer, iter, bias, y, h_n);
        if (trains) {
            all.backward = dnnl::lbr_gru_backward::primitive_desc(device.engine, back, direction, x, h, layer, iter, bias, y, h_n,
                x, h, layer, iter, bias, y, h_n, forward);
        }
        all.forward = forward;
    } else {
        const auto activation = work.cell == "rnn_relu" ? dnnl::algorithm::eltwise_relu : dnnl::algorithm::eltwise_tanh;
        const dnnl::vanilla_rnn_forward::primitive_desc forward(
            device.engine, kind, activation, direction, x, h, layer, iter, bias, y, h_n);
        if (trains) {
            all.backward = dnnl::vanilla_rnn_backward::primitive_desc(device.engine, back, activation, direction, x, h, layer,
                iter, bias, y, h_n, x, h, layer, iter, bias, y, h_n, forward);
        }
        all.forward = forward;
    }
    return all;
}

/// The layout of a primitive's argument; of size 0 if it has none such.
memory::desc argument(const dnnl::primitive_desc& primitive, int which) {
    return primitive.query_md(dnnl::query::exec_arg_md, which);
}

/// Adds memory for arguments of a primitive that it has and that are not there yet.
void add(const Device& device, const dnnl::primitive_desc& primitive, std::initializer_list<int> which, Arguments& arguments) {
    for (const int one : which) {
        const memory::desc desc = argument(primitive, one);
        if (desc.get_size() == 0 || arguments.count(one) != 0) continue;
        memory made(desc, device.engine);
        zero(made);
        arguments.emplace(one, std::move(made));
    }
}

/// Where PyTorch's gate lies among oneDNN's: the GRU has reset and update the other way round.
int gate(const peer::Work& work, int theirs) { return work.cell == "gru" && theirs < 2 ? 1 - theirs : theirs; }

/// PyTorch's name of an array of a layer and direction.
std::string name(const std::string& array, int layer, int direction) {
    return array + "_l" + std::to_string(layer) + (direction == 1 ? "_reverse" : "");
}

/// Visits the floats of each gate of a stage's weights or biases: PyTorch's name, its place there, and its place in oneDNN's
/// plain layout `ldgoi`, of `gates` gates with `block` floats each.
template <typename Visit>
void each_gate(const peer::Work& work, const Stage& stage, const std::string& array, int block, int gates, Visit&& visit) {
    for (int layer = 0; layer < stage.layers; ++layer) {
        for (int direction = 0; direction < work.directions(); ++direction) {
            const int base = (layer * work.directions() + direction) * gates;
            for (int g = 0; g < ::gates(work); ++g) {
                visit(name(array, stage.first + layer, direction), g * block, base + gate(work, g), g);
            }
        }
    }
}

/// A stage that is ready: its primitives and their arguments.
class Ready {
public:
    Ready(Device& device, const peer::Work& work, const Stage& stage, const peer::Arrays& arrays)
        : device(device), work(work), stage(stage), descriptors(describe(device, work, layouts(work, stage))) {
        forward = dnnl::primitive(descriptors.forward);
        add(device, descriptors.forward,
            {DNNL_ARG_SRC_LAYER, DNNL_ARG_SRC_ITER, DNNL_ARG_SRC_ITER_C, DNNL_ARG_WEIGHTS_LAYER, DNNL_ARG_WEIGHTS_ITER, DNNL_ARG_BIAS,
                DNNL_ARG_DST_LAYER, DNNL_ARG_DST_ITER, DNNL_ARG_DST_ITER_C, DNNL_ARG_WORKSPACE},
            arguments);
        for (auto& [which, array, input] : weights()) {
            memory plain(weights_desc(work, stage, input, Tag::ldgoi), device.engine);
            visit(plain, [&](float* values) { fill(arrays, array, input * work.hidden, values); });
            device.copy(plain, arguments.at(which));
        }
        visit(arguments.at(DNNL_ARG_BIAS), [&](float* values) { fill_bias(arrays, values); });
        if (work.pass == "train") prepare_backward();
    }

    void run_forward() { forward.execute(device.stream, arguments); }

    /// What it answers is the next call's state.
    void step() {
        run_forward();
        for (const auto& [from, to] : {std::pair{DNNL_ARG_DST_ITER, DNNL_ARG_SRC_ITER}, {DNNL_ARG_DST_ITER_C, DNNL_ARG_SRC_ITER_C}}) {
            if (arguments.count(from) != 0) std::swap(arguments.at(from), arguments.at(to));
        }
    }

    /// The weights are new in each call of a training: they are taken to be where the forward pass wants them.
    void run_backward() {
        for (auto& [which, repack] : repacks) {
            repack.execute(device.stream, arguments.at(which), backward_arguments.at(which));
        }
        // oneDNN adds to the gradients that it finds.
        for (const int which : {DNNL_ARG_DIFF_WEIGHTS_LAYER, DNNL_ARG_DIFF_WEIGHTS_ITER, DNNL_ARG_DIFF_BIAS}) {
            zero(backward_arguments.at(which));
        }
        backward.execute(device.stream, backward_arguments);
    }

    /// PyTorch's gradients.
    void gradients(peer::Arrays& arrays) {
        for (auto& [which, array, input] : weights()) {
            memory plain(weights_desc(work, stage, input, Tag::ldgoi), device.engine);
            const bool is_layer = which == DNNL_ARG_WEIGHTS_LAYER;
            device.copy(backward_arguments.at(is_layer ? DNNL_ARG_DIFF_WEIGHTS_LAYER : DNNL_ARG_DIFF_WEIGHTS_ITER), plain);
            const int block = input * work.hidden;
            visit(plain, [&](float* values) {
                each_gate(work, stage, array, block, gates(work), [&](const std::string& name, int at, int row, int) {
                    std::vector<float>& gradient = arrays["grad." + name];
                    gradient.resize(gates(work) * block);
                    std::copy_n(values + row * block, block, gradient.begin() + at);
                });
            });
        }
        visit(backward_arguments.at(DNNL_ARG_DIFF_BIAS), [&](float* values) {
            for (const std::string array : {"bias_ih", "bias_hh"}) {
                each_gate(work, stage, array, work.hidden, biases(work), [&](const std::string& name, int at, int row, int g) {
                    std::vector<float>& gradient = arrays["grad." + name];
                    gradient.resize(gates(work) * work.hidden);
                    const bool is_own = work.cell == "gru" && g == 2 && array == "bias_hh";
                    std::copy_n(values + (row + is_own) * work.hidden, work.hidden, gradient.begin() + at);
                });
            }
        });
    }

    Arguments arguments, backward_arguments;

private:
    struct Weight {
        int which;
        std::string array;
        int input;
    };

    std::vector<Weight> weights() const {
        return {{DNNL_ARG_WEIGHTS_LAYER, "weight_ih", stage.input}, {DNNL_ARG_WEIGHTS_ITER, "weight_hh", work.hidden}};
    }

    /// Copies PyTorch's weights to the layout `ldgoi`.
    void fill(const peer::Arrays& arrays, const std::string& array, int block, float* values) const {
        each_gate(work, stage, array, block, gates(work), [&](const std::string& name, int at, int row, int) {
            std::copy_n(arrays.at(name).begin() + at, block, values + row * block);
        });
    }

    void fill_bias(const peer::Arrays& arrays, float* values) const {
        for (const std::string array : {"bias_ih", "bias_hh"}) {
            each_gate(work, stage, array, work.hidden, biases(work), [&](const std::string& name, int at, int row, int g) {
                const bool is_own = work.cell == "gru" && g == 2 && array == "bias_hh";
                for (int i = 0; i < work.hidden; ++i) values[(row + is_own) * work.hidden + i] += arrays.at(name)[at + i];
            });
        }
    }

    void prepare_backward() {
        backward = dnnl::primitive(descriptors.backward);
        backward_arguments = arguments;
        for (const auto& [which, array, input] : weights()) {
            const memory::desc desc = argument(descriptors.backward, which);
            if (desc == arguments.at(which).get_desc()) continue;
            backward_arguments.at(which) = memory(desc, device.engine);
            repacks.emplace_back(which, dnnl::reorder(arguments.at(which), backward_arguments.at(which)));
        }
        add(device, descriptors.backward,
            {DNNL_ARG_DIFF_SRC_LAYER, DNNL_ARG_DIFF_SRC_ITER, DNNL_ARG_DIFF_SRC_ITER_C,
                DNNL_ARG_DIFF_WEIGHTS_LAYER, DNNL_ARG_DIFF_WEIGHTS_ITER, DNNL_ARG_DIFF_BIAS, DNNL_ARG_DIFF_DST_LAYER},
            backward_arguments);
    }

    Device& device;
    const peer::Work& work;
    Stage stage;
    Descriptors descriptors;
    dnnl::primitive forward, backward;
    /// What brings weights from the layout of the forward pass to that of the backward pass.
    std::vector<std::pair<int, dnnl::reorder>> repacks;
};

int run(const peer::Work& work) {
    const peer::Arrays arrays = peer::load(work.problem);
    Device device;
    std::vector<Ready> all;
    for (const Stage& stage : stages(work)) all.emplace_back(device, work, stage, arrays);
    // A stage's output is the next one's input, and that one's gradient is its upstream gradient.
    for (std::size_t i = 1; i < all.size(); ++i) {
        all[i].arguments.at(DNNL_ARG_SRC_LAYER) = all[i - 1].arguments.at(DNNL_ARG_DST_LAYER);
        if (work.pass != "train") continue;
        all[i].backward_arguments.at(DNNL_ARG_SRC_LAYER) = all[i - 1].arguments.at(DNNL_ARG_DST_LAYER);
        all[i - 1].backward_arguments.at(DNNL_ARG_DIFF_DST_LAYER) = all[i].backward_arguments.at(DNNL_ARG_DIFF_SRC_LAYER);
    }
    const auto set = [](memory& memory, const std::vector<float>& values) {
        visit(memory, [&](float* to) { std::copy(values.begin(), values.end(), to); });
    };
    const auto get = [](memory& memory) {
        std::vector<float> values(memory.get_desc().get_size() / sizeof(float));
        visit(memory, [&](const float* from) { std::copy_n(from, values.size(), values.begin()); });
        return values;
    };
    set(all.front().arguments.at(DNNL_ARG_SRC_LAYER), arrays.at("x"));

    const auto step = [&] {
        for (Ready& stage : all) stage.step();
        device.stream.wait();
    };
    const auto forward = [&] {
        for (Ready& stage : all) stage.run_forward();
        device.stream.wait();
    };
    const auto train = [&] {
        for (Ready& stage : all) stage.run_forward();
        for (auto stage = all.rbegin(); stage != all.rend(); ++stage) stage->run_backward();
        device.stream.wait();
    };
    std::function<void()> call = forward;
    if (work.pass == "step") call = step;
    if (work.pass == "train") {
        call = train;
        set(all.back().backward_arguments.at(DNNL_ARG_DIFF_DST_LAYER), arrays.at("dy"));
    }
    call();
    peer::Arrays outputs{{"y", get(all.back().arguments.at(DNNL_ARG_DST_LAYER))}};
    if (work.pass == "train") {
        outputs["grad.x"] = get(all.front().backward_arguments.at(DNNL_ARG_DIFF_SRC_LAYER));
        for (Ready& stage : all) stage.gradients(outputs);
    }
    peer::save(work.out, outputs);
    const dnnl_version_t* version = dnnl_version();
    const std::string number =
        std::to_string(version->major) + "." + std::to_string(version->minor) + "." + std::to_string(version->patch);
    return peer::serve(number, all.size() == 1 ? "one primitive" : "a primitive for each layer", call);
}

}  // namespace

int main(int count, char** words) { return peer::run(count, words, run); }
