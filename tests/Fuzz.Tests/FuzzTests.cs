using System.Diagnostics;
using NetdumpCollector.Fuzz.Tests.Targets;
using Xunit.Abstractions;

namespace NetdumpCollector.Fuzz.Tests;

/// <summary>Everything that reads what strangers or disks made, against inputs that no good program makes.</summary>
/// <remarks>
/// bench/fuzz.sh sets NETDUMP_FUZZ_INPUTS=n (so many inputs for each target), NETDUMP_FUZZ_SEED=n, NETDUMP_FUZZ_TARGET=name (only this one) and NETDUMP_FUZZ_HEX=bytes (only this input).
/// </remarks>
public sealed class FuzzTests(ITestOutputHelper output)
{
    private const int DefaultSeed = 20;

    private static readonly Func<FuzzTarget>[] s_targets =
    [
        () => new MessageTarget(), () => new HeaderTarget(), () => new PathTarget(), () => new MinidumpTarget(), () => new ExtentTarget(), () => new LedgerTarget(), () => new HeraldsTarget(),
        () => new MarkerTarget(), () => new ManifestTarget(), () => new SettingsTarget(), () => new HostsTarget(), () => new NetworksTarget(), () => new StateTarget(), () => new SessionTarget(), () => new TokensTarget(),
    ];

    public static IEnumerable<object[]> Names() => s_targets.Select(create =>
    {
        using var target = create();
        return new object[] { target.Name };
    });

    [Theory]
    [MemberData(nameof(Names))]
    public void No_input_breaks(string name)
    {
        if (Setting("TARGET") is { Length: > 0 } only && only != name)
            return;

        using var target = s_targets.Select(create => create()).First(target => target.Name == name);
        int seed = int.TryParse(Setting("SEED"), out int given) ? given : DefaultSeed;
        var fuzzer = new Fuzzer(target, seed);
        if (Setting("HEX") is { Length: > 0 } hex)
        {
            string? failure = fuzzer.FailureOf(Convert.FromHexString(hex));
            Assert.True(failure is null, failure);
            return;
        }

        long inputs = long.TryParse(Setting("INPUTS"), out long wanted) ? wanted : target.TestInputs;
        var watch = Stopwatch.StartNew();
        fuzzer.Run(inputs);
        output.WriteLine(FormattableString.Invariant(
            $"{name}: {inputs} inputs, {inputs / watch.Elapsed.TotalSeconds:F0}/s, {fuzzer.Features} ways, at most {fuzzer.MostAllocatedBytes} bytes allocated"));
    }

    private static string? Setting(string name) => Environment.GetEnvironmentVariable("NETDUMP_FUZZ_" + name);
}
