using NetdumpCollector.Collector.Cli;
using NetdumpCollector.Collector.Settings;

namespace NetdumpCollector.Fuzz.Tests.Targets;

/// <summary>The configuration file, to the values of all settings.</summary>
internal sealed class SettingsTarget : FuzzTarget
{
    private readonly InputFile _file = new();

    public override string Name => "settings";

    public override int TestInputs => 4000;

    public override IReadOnlyList<byte[]> Words { get; } =
        [.. SettingsTable.All.Select(setting => $"\"{setting.Name}\": ").Concat(["null", "{}", "[", "\"\"", "1e999", "-1", "99999999999999999999", "\"head:16EiB\"", "\"head:\"", "\"99999999999w\"", "\"100%\"", "\"0.0.0.0/0\"", "\"\\ud800\"", "\"a\\u0000\"", "true,"]).Select(System.Text.Encoding.UTF8.GetBytes)];

    // Each problem names what is allowed, and an unknown name every setting there is: some hundred bytes for each 5 of input.
    public override long MostAllocatedBytes(int inputBytes) => (64 << 10) + (1024 * (long)inputBytes);

    public override IEnumerable<byte[]> Seeds() => Corpus("settings");

    public override void Run(ReadOnlySpan<byte> input, FuzzRun run)
    {
        _file.Write(input);
        var commandLine = new Dictionary<Setting, string> { [SettingsTable.Config] = _file.Path };
        try
        {
            run.Enter();
            var settings = SettingsResolution.Resolve(commandLine, new Dictionary<string, string>()).ToSettings();
            run.Leave();
            run.Saw(0, settings.Port, settings.Debug ? 1 : 0);
        }
        catch (UsageException e)
        {
            run.Leave();
            foreach (string problem in e.Message.Split('\n'))
                run.Saw(1, problem.Replace(_file.Path, "", StringComparison.Ordinal));
        }
    }

    protected override void Close() => _file.Dispose();
}
