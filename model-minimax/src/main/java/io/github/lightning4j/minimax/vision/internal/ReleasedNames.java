package io.github.lightning4j.minimax.vision.internal;

import io.github.lightning4j.core.safetensors.Safetensors;
import io.github.lightning4j.minimax.internal.RenamedTensors;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;

/**
 * The names of the released MiniMax-VL-01, whoever saved a checkpoint. Transformers keeps all but
 * the head within one model, and its newer versions a tower without a name of its own:
 *
 * <pre>
 * model.language_model.X                 language_model.model.X
 * lm_head.X                              language_model.lm_head.X
 * model.vision_tower.vision_model.X      vision_tower.vision_model.X
 * model.vision_tower.X                   vision_tower.vision_model.X
 * model.multi_modal_projector.X          multi_modal_projector.X
 * model.image_newline                    image_newline
 * </pre>
 */
public final class ReleasedNames {
  private static final Map<String, String> PREFIXES = new LinkedHashMap<>();

  static {
    PREFIXES.put("model.language_model.", VisionBinder.TEXT + "model.");
    PREFIXES.put("lm_head.", VisionBinder.TEXT + "lm_head.");
    PREFIXES.put("model.vision_tower.vision_model.", VisionBinder.TOWER);
    PREFIXES.put("model.vision_tower.", VisionBinder.TOWER);
    PREFIXES.put("model.multi_modal_projector.", "multi_modal_projector.");
    PREFIXES.put("model.image_newline", "image_newline");
  }

  private ReleasedNames() {}

  /** The tensors of a checkpoint under the released names; a view. */
  public static Safetensors of(Safetensors source) {
    return RenamedTensors.of(source, name -> Optional.of(released(name)));
  }

  private static String released(String name) {
    for (Map.Entry<String, String> prefix : PREFIXES.entrySet()) {
      if (name.startsWith(prefix.getKey())) {
        return prefix.getValue() + name.substring(prefix.getKey().length());
      }
    }
    return name;
  }
}
