using System.Text;
using NetdumpCollector.Actors.HostNames;
using NetdumpCollector.Storage;

namespace NetdumpCollector.Fuzz.Tests.Targets;

/// <summary>The hosts file of <c>--hosts</c>.</summary>
internal sealed class HostsTarget : FuzzTarget
{
    public override string Name => "hosts";

    public override int TestInputs => 50_000;

    public override int MaxInputBytes => 1024;

    public override IReadOnlyList<byte[]> Words { get; } = [.. ((string[])["10.0.0.0/8 ", "/0", "/32", "/33", "/-1", "/+8", "0x0a.1", "010.0.0.1", "\n", "# ", "..", "/", "::1"]).Select(Encoding.UTF8.GetBytes)];

    // Words of a line, and the dictionaries of 33 prefixes.
    public override long MostAllocatedBytes(int inputBytes) => 32768 + (256 * (long)inputBytes);

    public override IEnumerable<byte[]> Seeds() => Corpus("hosts");

    public override void Run(ReadOnlySpan<byte> input, FuzzRun run)
    {
        string[] lines = Encoding.UTF8.GetString(input).Split('\n');
        try
        {
            run.Enter();
            var map = HostMap.Parse(lines, "f");
            string? name = map.Find(new(0x0a010203));
            run.Leave();
            run.Saw(0, lines.Length, name?.Length ?? -1);
            Check(name is null || HostFileName.IsAllowed(name), "a name can be in a file name");
        }
        catch (HostMapException e)
        {
            run.Leave();
            run.Saw(1, e.Message);
        }
    }
}
