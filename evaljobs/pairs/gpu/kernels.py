"""The CUDA kernels, compiled on first use. Each has a plain torch equivalent beside its caller."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

Kernel = Callable[..., None]

_SOURCE = r"""
__device__ __forceinline__ float widen(unsigned short bits) {
    float value;
    asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(bits));
    return value;
}

template <bool WIDE>
__device__ __forceinline__ void load(const uint4* product, size_t eighth, float* values) {
    if (WIDE) {
        const float4 low = ((const float4*)product)[2 * eighth], high = ((const float4*)product)[2 * eighth + 1];
        values[0] = low.x, values[1] = low.y, values[2] = low.z, values[3] = low.w;
        values[4] = high.x, values[5] = high.y, values[6] = high.z, values[7] = high.w;
    } else {
        const uint4 eight = product[eighth];
        const unsigned pairs[4] = {eight.x, eight.y, eight.z, eight.w};
        #pragma unroll
        for (int e = 0; e < 8; e++) values[e] = widen(pairs[e / 2] >> (16 * (e % 2)));
    }
}

// Count the products of a tile, 8 to a step, in a histogram in shared memory; list the pairs of flagged bins.
// WIDE: float32 products, else float16.
// MIXED: only pairs above the diagonal (`triangle`), and of the wanted kind (`same`).
template <bool WIDE, bool MIXED>
__device__ __forceinline__ void count(
    const uint4* product, int stride, int h, int w, int i0, int j0, int triangle, int same, const int* row_labels,
    const int* column_labels, float scale, float zero, int bins, const unsigned* flags, const int* gap,
    unsigned long long* counts, int* kept, unsigned long long* n_kept, int capacity)
{
    extern __shared__ int histogram[];
    unsigned* marks = (unsigned*)(histogram + bins);
    for (int b = threadIdx.x; b < bins; b += blockDim.x) histogram[b] = 0;
    for (int b = threadIdx.x; b < (bins + 31) / 32; b += blockDim.x) marks[b] = flags[b];
    __syncthreads();
    const int calm = gap[0];
    const unsigned width = gap[1] - gap[0];
    for (int r = blockIdx.x; r < h; r += gridDim.x) {
        const int label = MIXED ? row_labels[r] : 0;
        for (int c = 8 * threadIdx.x; c < w; c += 8 * blockDim.x) {
            if (MIXED && triangle && j0 + c + 7 <= i0 + r) continue;
            float values[8];
            load<WIDE>(product, (size_t)r * stride + c / 8, values);
            int bin[8];
            unsigned hits = 0;
            #pragma unroll
            for (int e = 0; e < 8; e++) {
                bin[e] = (int)fmaf(values[e], scale, zero);  // the product is exact: one rounding, fused or not
                bool mine = c + e < w;
                if (MIXED)
                    mine = mine && (!triangle || j0 + c + e > i0 + r) && (label == column_labels[c + e]) == same;
                if (mine) {
                    atomicAdd(&histogram[bin[e]], 1);
                    const bool near = (unsigned)(bin[e] - calm) >= width;
                    if (near && (marks[bin[e] >> 5] >> (bin[e] & 31) & 1)) hits |= 1u << e;
                }
            }
            if (hits) {
                unsigned long long slot = atomicAdd(n_kept, (unsigned long long)__popc(hits));
                #pragma unroll
                for (int e = 0; e < 8; e++)
                    if (hits >> e & 1) {
                        if (slot < capacity) {
                            kept[slot] = i0 + r;
                            kept[(size_t)capacity + slot] = j0 + c + e;
                            kept[2 * (size_t)capacity + slot] = bin[e];
                        }
                        slot++;
                    }
            }
        }
    }
    __syncthreads();
    for (int b = threadIdx.x; b < bins; b += blockDim.x)
        if (histogram[b]) atomicAdd(&counts[b], (unsigned long long)histogram[b]);
}

#define PARAMETERS \
    const uint4* product, int stride, int h, int w, int i0, int j0, int triangle, int same, const int* row_labels, \
    const int* column_labels, double scale, int zero, int bins, const unsigned* flags, const int* gap, \
    unsigned long long* counts, int* kept, unsigned long long* n_kept, int capacity
#define ARGUMENTS \
    product, stride, h, w, i0, j0, triangle, same, row_labels, column_labels, (float)scale, (float)zero, bins, flags, \
    gap, counts, kept, n_kept, capacity

#define KERNEL(NAME, WIDE, MIXED) \
    extern "C" __global__ void __launch_bounds__(512) NAME(PARAMETERS) { count<WIDE, MIXED>(ARGUMENTS); }
KERNEL(count_plain, false, false)
KERNEL(count_mixed, false, true)
KERNEL(count_plain_wide, true, false)
KERNEL(count_mixed_wide, true, true)

// The definition of a score: one rounding an operation, in index order, never fused. Each thread sums its own pair;
// half a warp at a time loads 16 components of a row, side by side, for the thread whose pair it is.
#define PIECE 16
extern "C" __global__ void __launch_bounds__(128) score_pairs(
    const double* unit, int d, const int* i, const int* j, double* scores, int m)
{
    __shared__ double pieces[4][2][32][PIECE + 1];
    const int p = blockIdx.x * blockDim.x + threadIdx.x, lane = threadIdx.x & 31, k = lane % PIECE;
    double(*left)[PIECE + 1] = pieces[threadIdx.x / 32][0];
    double(*right)[PIECE + 1] = pieces[threadIdx.x / 32][1];
    const int mine_i = p < m ? i[p] : 0, mine_j = p < m ? j[p] : 0;
    double total = 0.0;
    for (int start = 0; start < d; start += PIECE) {
        #pragma unroll
        for (int q = 0; q < 32; q += 2) {
            const int owner = q + lane / PIECE;
            const size_t row = __shfl_sync(0xffffffffu, mine_i, owner);
            const size_t column = __shfl_sync(0xffffffffu, mine_j, owner);
            if (start + k < d) {
                left[owner][k] = unit[row * d + start + k];
                right[owner][k] = unit[column * d + start + k];
            }
        }
        __syncwarp();
        const int n = min(PIECE, d - start);
        for (int e = 0; e < n; e++) total = __dadd_rn(total, __dmul_rn(left[lane][e], right[lane][e]));
        __syncwarp();
    }
    if (p < m) scores[p] = total;
}
"""


def can_compile() -> bool:
    """Return whether this torch compiles kernels: the function is not public yet, hence not relied upon."""
    import torch

    return hasattr(torch.cuda, "_compile_kernel")


@functools.cache
def kernel(name: str) -> Any:
    """Compile a kernel for the current device."""
    import torch

    return torch.cuda._compile_kernel(_SOURCE, name)


def shared_bytes(n_bins: int) -> int:
    """Return the shared memory that a histogram and its flags need."""
    return 4 * (n_bins + -(-n_bins // 32))
