using System.Diagnostics;
using System.Reflection;

namespace NetdumpCollector.EndToEnd.Tests;

/// <summary>Scripts of eng/ that publish the program once more.</summary>
internal static class BuildScript
{
    /// <summary>Everything is compiled for it once more, on a machine that may be busy.</summary>
    private static readonly TimeSpan s_deadline = TimeSpan.FromMinutes(8);

    public static string RepositoryRoot { get; } =
        typeof(BuildScript).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>().Single(attribute => attribute.Key == "RepositoryRoot").Value!;

    /// <summary>Runs one to its end, which must be a good one.</summary>
    /// <param name="name">In eng/.</param>
    /// <param name="arguments">Its arguments.</param>
    public static async Task RunAsync(string name, params string[] arguments)
    {
        var info = CommandResult.StartInfoOf(Path.Combine(RepositoryRoot, "eng", name), arguments);
        // What the test runner's build told its children is not for another build.
        foreach (string variable in info.Environment.Keys.Where(key => key.StartsWith("MSBUILD", StringComparison.OrdinalIgnoreCase)).ToArray())
            info.Environment.Remove(variable);
        using var build = new Process { StartInfo = info };
        build.Start();
        var output = build.StandardOutput.ReadToEndAsync();
        var error = build.StandardError.ReadToEndAsync();
        using var timeUp = new CancellationTokenSource(s_deadline);
        try
        {
            await build.WaitForExitAsync(timeUp.Token);
        }
        catch (OperationCanceledException)
        {
            build.Kill(entireProcessTree: true);
        }

        Assert.True(build.HasExited && build.ExitCode == 0, $"eng/{name} failed: {await output} {await error}");
    }
}
