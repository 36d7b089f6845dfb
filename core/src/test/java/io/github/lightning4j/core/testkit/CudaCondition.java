package io.github.lightning4j.core.testkit;

import io.github.lightning4j.core.Availability;
import io.github.lightning4j.core.cuda.kernel.KernelModule;
import org.junit.jupiter.api.extension.ConditionEvaluationResult;
import org.junit.jupiter.api.extension.ExecutionCondition;
import org.junit.jupiter.api.extension.ExtensionContext;

/** Skips what needs a GPU, with the reason that there is none. */
final class CudaCondition implements ExecutionCondition {
  @Override
  public ConditionEvaluationResult evaluateExecutionCondition(ExtensionContext context) {
    Availability cuda = KernelModule.availability();
    return cuda.isAvailable()
        ? ConditionEvaluationResult.enabled(cuda.reason())
        : ConditionEvaluationResult.disabled(cuda.reason());
  }
}
