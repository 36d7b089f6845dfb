package io.github.lightning4j.examples.learning;

import static com.google.common.base.Preconditions.checkArgument;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.IntConsumer;
import java.util.stream.IntStream;

/**
 * Recipes under one plan, several seeds each. A seed decides the first policy, the prompts and all
 * sampling, and gives the same curve wherever it runs.
 *
 * @param plan all but the loss
 * @param recipes the losses
 * @param seeds how many: 1, 2, ...
 */
public record Comparison(TrainingPlan plan, List<Recipe> recipes, int seeds) {
  /** Checks the sizes. */
  public Comparison {
    recipes = List.copyOf(recipes);
    checkArgument(!recipes.isEmpty(), "recipes: expected one or more, got none");
    checkArgument(seeds >= 1, "seeds: expected >= 1, got %s", seeds);
  }

  /** How many trainings there are. */
  public int trainings() {
    return recipes.size() * seeds;
  }

  /**
   * Trains them all, on as many threads as there are processors.
   *
   * @param progress is told how many are done
   */
  public List<Curves> run(IntConsumer progress) {
    ExecutorService pool = Executors.newFixedThreadPool(Runtime.getRuntime().availableProcessors());
    try {
      AtomicInteger done = new AtomicInteger();
      List<List<Future<PolicyTraining.Curve>>> trainings = new ArrayList<>();
      for (Recipe recipe : recipes) {
        trainings.add(
            IntStream.rangeClosed(1, seeds)
                .mapToObj(
                    seed ->
                        pool.submit(
                            () -> {
                              PolicyTraining.Curve curve =
                                  new PolicyTraining(plan, recipe.loss(), seed).run();
                              progress.accept(done.incrementAndGet());
                              return curve;
                            }))
                .toList());
      }
      List<Curves> curves = new ArrayList<>();
      for (int r = 0; r < recipes.size(); r++) {
        List<PolicyTraining.Curve> each =
            trainings.get(r).stream().map(Comparison::result).toList();
        curves.add(
            new Curves(
                recipes.get(r).name(),
                each.stream().map(PolicyTraining.Curve::updates).toArray(int[][]::new),
                each.stream().map(PolicyTraining.Curve::rewards).toArray(double[][]::new)));
      }
      return curves;
    } finally {
      pool.shutdownNow();
    }
  }

  private static PolicyTraining.Curve result(Future<PolicyTraining.Curve> training) {
    try {
      return training.get();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException("interrupted while training", e);
    } catch (ExecutionException e) {
      throw new IllegalStateException("a training failed", e.getCause());
    }
  }
}
