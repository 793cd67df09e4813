// The side of a peer in the protocol that `benches/src/compare/peer.rs` describes, for systems in C++.
#pragma once

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <iterator>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

namespace peer {

/// What is to be done, and with which files.
struct Work {
    std::string problem, out, cell, pass;
    int threads = 1, input = 0, hidden = 0, batch = 1, seq = 1, layers = 1;
    bool bidirectional = false;

    int directions() const { return bidirectional ? 2 : 1; }
    /// Steps of one call.
    int steps() const { return pass == "step" ? 1 : seq; }
    /// Features of the input of a layer.
    int layer_input(int layer) const { return layer == 0 ? input : directions() * hidden; }
};

/// Floats by name.
using Arrays = std::map<std::string, std::vector<float>>;

inline Work options(int count, char** words) {
    Work work;
    for (int i = 1; i < count; ++i) {
        const std::string name = words[i];
        if (name == "--bidirectional") {
            work.bidirectional = true;
            continue;
        }
        if (i + 1 == count) throw std::runtime_error(name + ": expected a value after it");
        const std::string value = words[++i];
        if (name == "--problem") work.problem = value;
        else if (name == "--out") work.out = value;
        else if (name == "--cell") work.cell = value;
        else if (name == "--pass") work.pass = value;
        else if (name == "--threads") work.threads = std::stoi(value);
        else if (name == "--input") work.input = std::stoi(value);
        else if (name == "--hidden") work.hidden = std::stoi(value);
        else if (name == "--batch") work.batch = std::stoi(value);
        else if (name == "--seq") work.seq = std::stoi(value);
        else if (name == "--layers") work.layers = std::stoi(value);
        else if (name != "--lengths" || value != "full") throw std::runtime_error(name + " " + value + ": it does not know this");
    }
    return work;
}

/// The program's threads stay on the first cores, one on each. OpenMP reads that they are to when it is loaded, before `main`:
/// the program starts itself anew.
inline void pin(int threads, char** words) {
    if (std::getenv("GATEWISE_PINNED") != nullptr) return;
    cpu_set_t all, first;
    CPU_ZERO(&first);
    if (sched_getaffinity(0, sizeof all, &all) != 0) throw std::runtime_error("no affinity");
    int taken = 0;
    for (int core = 0; core < CPU_SETSIZE && taken < threads; ++core) {
        if (CPU_ISSET(core, &all)) {
            CPU_SET(core, &first);
            ++taken;
        }
    }
    if (taken < threads || sched_setaffinity(0, sizeof first, &first) != 0) {
        throw std::runtime_error("--threads " + std::to_string(threads) + ": so many cores may not be used");
    }
    setenv("OMP_PROC_BIND", "true", 1);
    setenv("GATEWISE_PINNED", "1", 1);
    execv("/proc/self/exe", words);
    throw std::runtime_error("it cannot start itself anew");
}

/// The arrays of a safetensors file, whose header is `{"name": {"dtype": "F32", .., "data_offsets": [begin, end]}, ..}`: no name
/// and no value in it holds a quote, a brace or a space.
inline Arrays load(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    const std::string data((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    std::uint64_t length = 0;
    if (data.size() < sizeof length) throw std::runtime_error(path + ": no safetensors file");
    data.copy(reinterpret_cast<char*>(&length), sizeof length);
    std::string header = data.substr(sizeof length, length);
    header.erase(std::remove(header.begin(), header.end(), ' '), header.end());
    const char* base = data.data() + sizeof length + length;
    Arrays arrays;
    for (std::size_t at = header.find('{') + 1; (at = header.find('"', at)) != std::string::npos;) {
        const std::size_t end = header.find('"', at + 1), close = header.find('}', end);
        const std::string name = header.substr(at + 1, end - at - 1), entry = header.substr(end, close - end);
        at = close;
        const std::string key = "\"data_offsets\":[";
        const std::size_t offsets = entry.find(key);
        if (entry.find("\"F32\"") == std::string::npos || offsets == std::string::npos) {
            throw std::runtime_error(path + ": " + name + " is not of F32");
        }
        const char* numbers = entry.c_str() + offsets + key.size();
        std::size_t digits = 0;
        const std::uint64_t begin = std::stoull(numbers, &digits), stop = std::stoull(numbers + digits + 1);
        if (begin > stop || sizeof length + length + stop > data.size()) throw std::runtime_error(path + ": it is cut off");
        std::vector<float>& values = arrays[name];
        values.resize((stop - begin) / sizeof(float));
        std::copy(base + begin, base + stop, reinterpret_cast<char*>(values.data()));
    }
    return arrays;
}

inline void save(const std::string& path, const Arrays& arrays) {
    std::string header = "{";
    std::size_t offset = 0;
    for (const auto& [name, values] : arrays) {
        const std::size_t end = offset + values.size() * sizeof(float);
        header += (offset == 0 ? "\"" : ",\"") + name + "\":{\"dtype\":\"F32\",\"shape\":[" + std::to_string(values.size()) +
                  "],\"data_offsets\":[" + std::to_string(offset) + "," + std::to_string(end) + "]}";
        offset = end;
    }
    header += "}";
    header.resize((header.size() + 7) / 8 * 8, ' ');
    const std::uint64_t length = header.size();
    std::ofstream file(path, std::ios::binary);
    file.write(reinterpret_cast<const char*>(&length), sizeof length) << header;
    for (const auto& [name, values] : arrays) {
        file.write(reinterpret_cast<const char*>(values.data()), static_cast<std::streamsize>(values.size() * sizeof(float)));
    }
    if (!file.flush()) throw std::runtime_error(path + ": it cannot be written");
}

/// Says that the peer is ready, then makes as many calls as each line says and answers the microseconds of one.
template <typename Call>
int serve(const std::string& version, const std::string& note, Call&& call) {
    std::cout << "{\"ready\": true, \"version\": \"" << version << "\", \"note\": \"" << note << "\"}" << std::endl;
    for (std::string line; std::getline(std::cin, line);) {
        const long calls = std::stol(line);
        const auto start = std::chrono::steady_clock::now();
        for (long i = 0; i < calls; ++i) call();
        const std::chrono::duration<double, std::micro> time = std::chrono::steady_clock::now() - start;
        std::cout << time.count() / static_cast<double>(calls) << std::endl;
    }
    return 0;
}

/// The body of `main`: an error is the last line of the log.
template <typename Run>
int run(int count, char** words, Run&& run) {
    try {
        const Work work = options(count, words);
        pin(work.threads, words);
        return run(work);
    } catch (const std::exception& error) {
        std::cerr << words[0] << ": " << error.what() << std::endl;
        return 1;
    }
}

}  // namespace peer
