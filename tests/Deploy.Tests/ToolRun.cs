using System.Diagnostics;

namespace NetdumpCollector.Deploy.Tests;

/// <summary>One run of a program to its end.</summary>
internal sealed record ToolRun(int ExitCode, string Output, string Error)
{
    private static readonly TimeSpan s_deadline = TimeSpan.FromMinutes(1);

    /// <exception cref="TimeoutException">It does not end.</exception>
    public static async Task<ToolRun> OfAsync(string program, params string[] arguments)
    {
        using var process = new Process { StartInfo = new(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true } };
        process.Start();
        var output = process.StandardOutput.ReadToEndAsync();
        var error = process.StandardError.ReadToEndAsync();
        using var timeUp = new CancellationTokenSource(s_deadline);
        try
        {
            await process.WaitForExitAsync(timeUp.Token);
        }
        catch (OperationCanceledException)
        {
            process.Kill(entireProcessTree: true);
            throw new TimeoutException($"{program} {string.Join(' ', arguments)} does not end");
        }

        return new(process.ExitCode, await output, await error);
    }
}
