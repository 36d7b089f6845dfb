/**
 * A layer of sparsely used experts: each token is sent to the k experts its router likes best and
 * gets the weighted sum of their answers.
 *
 * <pre>
 *   logits = x Wr^T                                   a product of core's Gemm
 *   index, weight = top-k of softmax(logits)          {@link io.github.lightning4j.moe.Router}
 *   out = sum_k weight_k W2 (silu(W1 x) * (W3 x))     {@link io.github.lightning4j.moe.MixtureOfExperts}
 * </pre>
 *
 * <p>{@link io.github.lightning4j.moe.DispatchPlan} sorts the token-expert pairs by expert, and
 * drops none unless it is given a {@link io.github.lightning4j.moe.Capacity}; {@link
 * io.github.lightning4j.moe.MoeWorkspace} keeps scratch memory from call to call; {@link
 * io.github.lightning4j.moe.SharedExpert} mixes in an expert that sees every token; {@link
 * io.github.lightning4j.moe.QuantizedExpertWeights} holds experts in 8 or 4 bits; {@link
 * io.github.lightning4j.moe.loss.AuxLoss} or {@link io.github.lightning4j.moe.ExpertBias} keeps the
 * load balanced in training.
 */
@NullMarked
package io.github.lightning4j.moe;

import org.jspecify.annotations.NullMarked;
