package io.github.lightning4j.core.testkit;

import java.lang.annotation.ElementType;
import java.lang.annotation.Retention;
import java.lang.annotation.RetentionPolicy;
import java.lang.annotation.Target;
import org.junit.jupiter.api.extension.ExtendWith;

/**
 * For tests that need a GPU and NVRTC, called {@code ...DeviceTest}. On a machine without they are
 * skipped in the first run, and run in the execution {@code emulated-gpu} on a driver that executes
 * kernels on the CPU.
 */
@Target(ElementType.TYPE)
@Retention(RetentionPolicy.RUNTIME)
@ExtendWith(CudaCondition.class)
public @interface RequiresCuda {}
