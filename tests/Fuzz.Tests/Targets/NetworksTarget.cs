using System.Text;
using NetdumpCollector.Protocol;

namespace NetdumpCollector.Fuzz.Tests.Targets;

/// <summary>The lists of <c>--allow</c> and <c>--deny</c>.</summary>
internal sealed class NetworksTarget : FuzzTarget
{
    public override string Name => "networks";

    public override int TestInputs => 100_000;

    public override int MaxInputBytes => 512;

    public override IReadOnlyList<byte[]> Words { get; } = [.. ((string[])["10.0.0.0/8", "0.0.0.0/0", "/32", "/33", "/-1", "/+8", ",", " ", "010.0.0.1", "0x7f.1", "1.2", "::1"]).Select(Encoding.UTF8.GetBytes)];

    // A text, an address and a network for each comma.
    public override long MostAllocatedBytes(int inputBytes) => 4096 + (256 * (long)inputBytes);

    public override IEnumerable<byte[]> Seeds() => Corpus("networks");

    public override void Run(ReadOnlySpan<byte> input, FuzzRun run)
    {
        string text = Encoding.UTF8.GetString(input);
        run.Enter();
        bool isList = Ipv4Networks.TryParse(text, out var networks);
        run.Leave();
        run.Saw(0, isList ? 1 : 0, isList ? text.Count(c => c == ',') : 0);
        if (!isList)
            return;

        Check(Ipv4Networks.TryParse(networks!.ToString(), out var again) && again.Equals(networks), "a list is written so that it is read as the same");
        run.Saw(1, networks.Contains(new(0x0a010203)) ? 1 : 0, networks.IsEmpty ? 1 : 0);
    }
}
