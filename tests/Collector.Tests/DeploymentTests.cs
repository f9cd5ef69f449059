using System.CommandLine;
using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.Versioning;
using System.Text.RegularExpressions;
using NetdumpCollector.Collector.Cli;

namespace NetdumpCollector.Collector.Tests;

/// <summary>What is installed beside the program says the same as the program.</summary>
public sealed partial class DeploymentTests
{
    private static readonly string s_root = Path.GetFullPath(Path.Combine(Path.GetDirectoryName(SourcePath())!, "..", ".."));

    public static TheoryData<string> Commands => [.. Under(Root(), []).Select(path => string.Join(' ', path))];

    [Fact]
    public void The_manual_has_every_option_and_no_other()
    {
        string[] options = [.. Under(Root(), []).SelectMany(path => Find(path).Options).SelectMany(option => option.Aliases.Prepend(option.Name))
            .Where(name => name is not ("-?" or "-h" or "/?" or "/h")).Distinct().Order(StringComparer.Ordinal)];

        string[] inManual = [.. ManualOption().Matches(File.ReadAllText(Path.Combine(s_root, "docs/man/netdump-collector.1")))
            .Select(match => $"-{match.Groups[1].Value}").Distinct().Order(StringComparer.Ordinal)];

        Assert.Equal(options, inManual);
    }

    [Theory]
    [MemberData(nameof(Commands))]
    public async Task The_shell_is_told_every_command_and_option(string path)
    {
        string line = $"netdump-collector {path} ".Replace("  ", " ", StringComparison.Ordinal);
        var command = Find(path.Split(' ', StringSplitOptions.RemoveEmptyEntries));

        string[] commands = await SuggestedAsync(line);
        string[] options = await SuggestedAsync($"{line}--");

        Assert.All(command.Subcommands, subcommand => Assert.Contains(subcommand.Name, commands));
        Assert.All(command.Options, option => Assert.Contains(option.Name, options));
    }

    [Theory]
    [InlineData("netdump-collector serve --endpoint ", "ephemeral", "shared")]
    [InlineData("netdump-collector serve --endpoint s", "shared")]
    [InlineData("netdump-collector serve --loops ", "auto")]
    [InlineData("netdump-collector serve --directory ")]
    [InlineData("netdump-collector send --compress ", "gzip", "none", "zstd")]
    public async Task The_shell_is_told_the_values_that_an_option_can_have(string line, params string[] values) => Assert.Equal(values, await SuggestedAsync(line));

    [Fact]
    public async Task The_settings_that_are_installed_are_usable()
    {
        var run = await CommandRun.OfAsync("config", "--config", Path.Combine(s_root, "deploy/netdump-collector.json"));

        Assert.Equal("", run.Error);
        Assert.Contains("/var/lib/netdump", run.Output, StringComparison.Ordinal);
    }

    [Theory]
    [UnsupportedOSPlatform("windows")]
    [InlineData("", "start")]
    [InlineData("1.0", "restart")]
    public void Installing_again_starts_the_service_also_where_removing_it_left_it_stopped(string configuredBefore, string action)
    {
        // Debian passes the version that was configured last, also when the package has been removed but not purged.
        using var temp = new TempDirectory();
        string script = File.ReadAllText(Path.Combine(s_root, "deploy/debian/postinst"))
            .Replace("/run/systemd/system", temp.Path, StringComparison.Ordinal)
            .Replace("/var/lib/netdump", temp.Path, StringComparison.Ordinal)
            .Replace("/proc/sys/net/core/rmem_max", temp.File("no-buffer"), StringComparison.Ordinal);
        temp.Write("postinst", script);
        foreach (string program in (string[])["getent", "adduser", "install", "systemctl", "deb-systemd-helper", "deb-systemd-invoke"])
        {
            temp.Write(program, $"#!/bin/sh\necho \"{program} $*\" >>'{temp.File("calls")}'\n");
            File.SetUnixFileMode(temp.File(program), UnixFileMode.UserRead | UnixFileMode.UserExecute);
        }

        using var process = Process.Start(new ProcessStartInfo("/bin/sh", [temp.File("postinst"), "configure", configuredBefore])
        {
            Environment = { ["PATH"] = $"{temp.Path}:/usr/bin:/bin" },
        })!;
        process.WaitForExit();

        Assert.Equal(0, process.ExitCode);
        string[] calls = File.ReadAllLines(temp.File("calls"));
        Assert.Equal($"deb-systemd-invoke {action} netdump-collector.service", calls[^1]);
        Assert.Contains("deb-systemd-helper enable netdump-collector.service", calls);
    }

    private static async Task<string[]> SuggestedAsync(string line)
    {
        var run = await CommandRun.OfAsync($"[suggest:{line.Length}]", line);
        Assert.Equal(0, run.ExitCode);
        return run.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries);
    }

    private static RootCommand Root() => CollectorCommandLine.Create(new(TextWriter.Null, TextWriter.Null, new Dictionary<string, string>(), ErrorIsTerminal: false, CancellationToken.None));

    private static IEnumerable<string[]> Under(Command command, string[] path) =>
        command.Subcommands.SelectMany(child => Under(child, [.. path, child.Name])).Prepend(path);

    private static Command Find(string[] path) => path.Aggregate((Command)Root(), (command, name) => command.Subcommands.Single(child => child.Name == name));

    private static string SourcePath([CallerFilePath] string path = "") => path;

    // "Fl -address" is --address, "Fl a" is -a.
    [GeneratedRegex(@"\bFl (-?[A-Za-z][a-z-]*)")]
    private static partial Regex ManualOption();
}
