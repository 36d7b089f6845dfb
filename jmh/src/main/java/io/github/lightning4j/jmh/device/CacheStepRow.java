package io.github.lightning4j.jmh.device;

import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.kvquant.CudaKvRows;
import java.util.function.IntConsumer;

/** What a cache does with the token of a decode step beside attention. */
enum CacheStepRow implements DeviceRow {
  /** The new token comes to its page. */
  APPEND("cache_append"),
  /** The token that leaves the window is quantized: the same one each time. */
  AGE("cache_age");

  /** The last token to leave the window lies in a page that has others which stay. */
  private static final int TOKENS = 1000;

  private final String name;

  CacheStepRow(String name) {
    this.name = name;
  }

  @Override
  public String title() {
    return name + " in a decode step over kv2 pages, one row in a graph";
  }

  @Override
  public Goal goal() {
    return Goal.microseconds(3);
  }

  @Override
  public Measured measure(Scene scene) {
    CacheTensors tensors = new CacheTensors(scene, Pages.KV2, scene.size(TOKENS, 200), 1);
    CudaKvRows row = CudaKvRows.decode(tensors.sequence(0), tensors.last(0));
    Tensor k = tensors.keys(1);
    Tensor v = tensors.keys(1);
    IntConsumer step =
        i -> {
          if (this == APPEND) {
            tensors.cache().append(scene.stream(), k, v, row);
          } else {
            tensors.cache().age(scene.stream(), row);
          }
        };
    return tensors.checked(scene.time(Job.ofBytes(step, 1, 0).asGraph()));
  }
}
