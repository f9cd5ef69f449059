using System.CommandLine;
using System.Text.Json;
using NetdumpCollector.Collector.Cli;
using NetdumpCollector.Collector.Settings;

namespace NetdumpCollector.Collector.Tests.Cli;

public sealed class CollectorCommandLineTests : IDisposable
{
    private static readonly string[] s_netdumpdsOptions = ["-D", "-a", "127.0.0.1", "-d", "/tmp/x", "-i", "./script", "-P", "/tmp/pid", "-p", "sub"];

    private readonly TempDirectory _temp = new();

    public void Dispose() => _temp.Dispose();

    public static TheoryData<string> Commands => [.. AllCommands().Select(path => string.Join(' ', path))];

    [Theory]
    [MemberData(nameof(Commands))]
    public async Task Help_of_every_command_ends_with_examples(string path)
    {
        var run = await CommandRun.OfAsync([.. path.Split(' ', StringSplitOptions.RemoveEmptyEntries), "--help"]);

        Assert.Equal(0, run.ExitCode);
        Assert.Contains("Usage:", run.Output, StringComparison.Ordinal);
        string[] lines = run.Output[run.Output.IndexOf("\nExamples:\n", StringComparison.Ordinal)..].Trim().Split('\n');
        Assert.Contains(lines, line => line.Contains($"netdump-collector {path}".TrimEnd(), StringComparison.Ordinal));
        Assert.All(lines.Skip(1), line => Assert.StartsWith("  ", line, StringComparison.Ordinal));
    }

    [Theory]
    [MemberData(nameof(Commands))]
    public async Task An_unknown_option_is_wrong_usage(string path)
    {
        var run = await CommandRun.OfAsync([.. path.Split(' ', StringSplitOptions.RemoveEmptyEntries), "--nope"]);

        Assert.Equal(2, run.ExitCode);
        Assert.Contains("--nope", run.Error, StringComparison.Ordinal);
        Assert.Contains($"'{$"netdump-collector {path}".TrimEnd()} --help'", run.Error, StringComparison.Ordinal);
        Assert.Empty(run.Output);
    }

    [Fact]
    public async Task Help_tells_every_setting_with_variable_and_default()
    {
        string help = (await CommandRun.OfAsync("serve", "--help")).Output;

        Assert.All(SettingsTable.All, setting =>
        {
            Assert.Contains(setting.LongOption, help, StringComparison.Ordinal);
            Assert.Contains($"[{setting.EnvironmentVariable}; default: {(setting.DefaultText.Length == 0 ? "none" : setting.DefaultText)}]", help, StringComparison.Ordinal);
        });
    }

    [Fact]
    public async Task Help_documents_the_exit_codes()
    {
        string help = (await CommandRun.OfAsync("--help")).Output;

        Assert.Contains("Exit codes:\n  0  done\n  1  ", help, StringComparison.Ordinal);
        Assert.Contains("\n  3  cannot start", help, StringComparison.Ordinal);
    }

    [Fact]
    public void Serve_takes_netdumpds_options()
    {
        var parsed = Root().Parse(["serve", .. s_netdumpdsOptions]);

        Assert.Empty(parsed.Errors);
        Assert.Equal("serve", parsed.CommandResult.Command.Name);
    }

    [Fact]
    public async Task Netdumpds_options_mean_what_they_mean_there()
    {
        var values = await ConfigAsync(s_netdumpdsOptions);

        Assert.Equal("127.0.0.1", Value(values, "address").GetString());
        Assert.Equal("/tmp/x", Value(values, "directory").GetString());
        Assert.Equal("./script", Value(values, "script").GetString());
        Assert.Equal("/tmp/pid", Value(values, "pidfile").GetString());
        Assert.Equal("sub", Value(values, "path").GetString());
        Assert.True(Value(values, "debug").GetBoolean());
    }

    [Fact]
    public async Task Letters_may_be_bundled_and_carry_their_value_as_with_getopt()
    {
        var values = await ConfigAsync("-Da", "127.0.0.1", "-d/tmp/x");

        Assert.True(Value(values, "debug").GetBoolean());
        Assert.Equal("127.0.0.1", Value(values, "address").GetString());
        Assert.Equal("/tmp/x", Value(values, "directory").GetString());
    }

    [Fact]
    public async Task A_value_that_starts_with_an_at_sign_is_a_value()
    {
        Assert.Equal("@dumps", Value(await ConfigAsync("-d", "@dumps"), "directory").GetString());
    }

    [Fact]
    public void Config_takes_every_option_of_serve()
    {
        var commands = Root().Subcommands.ToDictionary(command => command.Name);

        Assert.Equal(SettingsTable.All.Select(setting => setting.LongOption), commands["serve"].Options.Select(option => option.Name));
        Assert.Equal([.. SettingsTable.All.Select(setting => setting.LongOption), "--json"], commands["config"].Options.Select(option => option.Name));
    }

    [Fact]
    public async Task Config_shows_values_and_where_they_come_from()
    {
        string file = _temp.Write("c.json", """{ "timeout": 5, "endpoint": "shared" }""");
        var run = await CommandRun.OfAsync(new Dictionary<string, string> { ["NETDUMP_PORT"] = "5", ["NETDUMP_TIMEOUT"] = "7" }, "config", "--config", file, "-a", "127.0.0.2");

        Assert.Equal(0, run.ExitCode);
        var rows = run.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => line.Split("  ", 3, StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries))
            .ToDictionary(cells => cells[0], cells => (cells[1], cells[2]));
        Assert.Equal(("127.0.0.2", "option --address"), rows["address"]);
        Assert.Equal(("5", "environment variable NETDUMP_PORT"), rows["port"]);
        Assert.Equal(("7", "environment variable NETDUMP_TIMEOUT"), rows["timeout"]);
        Assert.Equal(("shared", $"file {file}"), rows["endpoint"]);
        Assert.Equal(("-", "default"), rows["script"]);
        Assert.Equal(SettingsTable.All.Count + 1, rows.Count);
    }

    [Fact]
    public async Task Config_as_json_has_every_setting_with_its_type()
    {
        var values = await ConfigAsync();

        Assert.Equal(SettingsTable.All.Select(setting => setting.Name), values.EnumerateObject().Select(property => property.Name));
        Assert.Equal(20023, Value(values, "port").GetInt32());
        Assert.Equal(JsonValueKind.False, Value(values, "debug").ValueKind);
        Assert.Equal(JsonValueKind.Null, Value(values, "script").ValueKind);
        Assert.Equal("default", values.GetProperty("port").GetProperty("source").GetString());
    }

    [Theory]
    [InlineData("serve")]
    [InlineData("config")]
    public async Task A_wrong_setting_ends_with_usage_and_names_everything(string command)
    {
        var run = await CommandRun.OfAsync(command, "--port", "99999");

        Assert.Equal(2, run.ExitCode);
        Assert.Equal("netdump-collector: port: invalid value \"99999\" from option --port; allowed: a port number from 0 (any free port) to 65535\n", run.Error);
    }

    [Theory]
    [InlineData("version")]
    [InlineData("--version")]
    public async Task Version_names_the_program_and_its_version(string argument)
    {
        var run = await CommandRun.OfAsync(argument);

        Assert.Equal(0, run.ExitCode);
        Assert.StartsWith("netdump-collector 0.", run.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task No_command_is_wrong_usage()
    {
        Assert.Equal(2, (await CommandRun.OfAsync()).ExitCode);
        Assert.Equal(2, (await CommandRun.OfAsync("dumps")).ExitCode);
    }

    private static RootCommand Root() => CollectorCommandLine.Create(new(TextWriter.Null, TextWriter.Null, new Dictionary<string, string>(), ErrorIsTerminal: false, CancellationToken.None));

    private static IEnumerable<string[]> AllCommands() => Under(Root(), []);

    private static IEnumerable<string[]> Under(Command command, string[] path) =>
        command.Subcommands.SelectMany(child => Under(child, [.. path, child.Name])).Prepend(path);

    private static async Task<JsonElement> ConfigAsync(params string[] arguments)
    {
        var run = await CommandRun.OfAsync(["config", .. arguments, "--json"]);
        Assert.Equal("", run.Error);
        Assert.Equal(0, run.ExitCode);
        return JsonDocument.Parse(run.Output).RootElement;
    }

    private static JsonElement Value(JsonElement values, string setting) => values.GetProperty(setting).GetProperty("value");
}
