using System.Globalization;

namespace NetdumpCollector.Simulation.Tests;

/// <summary>A virtual address that moves between the nodes of a shared directory all the time.</summary>
/// <remarks>NETDUMP_SIM_SEED=n replays one seed, NETDUMP_SIM_SEEDS=n sets how many are run.</remarks>
public sealed class FlappingTests
{
    private const int DefaultSeeds = 1_500;

    [Fact]
    public void However_often_the_address_moves_what_was_acked_is_there_and_the_dump_is_whole()
    {
        int only = Setting("NETDUMP_SIM_SEED") ?? -1;
        int first = Math.Max(only, 0), count = only >= 0 ? 1 : Setting("NETDUMP_SIM_SEEDS") ?? DefaultSeeds;
        var met = new Dictionary<string, int>();
        var broken = new List<string>();
        int takeovers = 0;
        Parallel.For(first, first + count, seed =>
        {
            var flapping = new Flapping(seed);
            string? problem;
            try
            {
                problem = flapping.Run();
            }
            catch (Exception e) when (e is not OutOfMemoryException)
            {
                problem = e.ToString();
            }

            lock (met)
            {
                takeovers += flapping.Takeovers;
                foreach (string what in flapping.Met)
                    met[what] = met.GetValueOrDefault(what) + 1;
                if (problem is not null)
                    broken.Add($"seed {seed}: {problem}");
            }
        });

        Assert.True(broken.Count == 0, $"{broken.Count} of {count}:\n{string.Join('\n', broken.Order(StringComparer.Ordinal).Take(20))}");
        // A run that never met these would say nothing.
        if (count < DefaultSeeds)
            return;
        Assert.Empty(Flapping.All.Where(what => met.GetValueOrDefault(what) < 3).Select(what => $"{what}: {met.GetValueOrDefault(what)}"));
        Assert.True(takeovers > 3 * count, $"{takeovers} takeovers in {count} dumps");
    }

    private static int? Setting(string name) => int.TryParse(Environment.GetEnvironmentVariable(name), NumberStyles.None, CultureInfo.InvariantCulture, out int value) ? value : null;
}
