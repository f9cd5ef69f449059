using System.Diagnostics;

namespace NetdumpCollector.EndToEnd.Tests;

/// <summary>How a program ended.</summary>
internal sealed record CommandResult(int ExitCode, string Output, string Error)
{
    /// <summary>Longest time that any program of these tests may take.</summary>
    public static readonly TimeSpan Deadline = TimeSpan.FromSeconds(120);

    /// <summary>Runs a program to its end.</summary>
    public static async Task<CommandResult> RunAsync(string program, IEnumerable<string> arguments)
    {
        using var process = new Process { StartInfo = StartInfoOf(program, arguments) };
        process.Start();
        var output = process.StandardOutput.ReadToEndAsync();
        var error = process.StandardError.ReadToEndAsync();
        using var timeUp = new CancellationTokenSource(Deadline);
        try
        {
            await process.WaitForExitAsync(timeUp.Token);
        }
        catch (OperationCanceledException)
        {
            process.Kill(entireProcessTree: true);
            throw new TimeoutException($"{program} {string.Join(' ', arguments)} does not end: {await output} {await error}");
        }

        return new(process.ExitCode, await output, await error);
    }

    /// <summary>The exit code is <paramref name="expected"/>; otherwise the failure shows what the program said.</summary>
    public CommandResult Expect(int expected)
    {
        Assert.True(ExitCode == expected, $"exit code {ExitCode} instead of {expected}\n{Output}\n{Error}");
        return this;
    }

    public static ProcessStartInfo StartInfoOf(string program, IEnumerable<string> arguments)
    {
        var info = new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true, WorkingDirectory = Path.GetTempPath() };
        foreach (string variable in info.Environment.Keys.Where(name => name.StartsWith("NETDUMP_", StringComparison.Ordinal)).ToArray())
            info.Environment.Remove(variable);
        // The runtime of this process, wherever it is.
        info.Environment["DOTNET_ROOT"] = Path.GetFullPath(Path.Combine(Path.GetDirectoryName(typeof(object).Assembly.Location)!, "..", "..", ".."));
        return info;
    }
}
