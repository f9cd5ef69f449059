using System.Runtime.Versioning;
using System.Text;
using NetdumpCollector.Actors.Scripts;

namespace NetdumpCollector.Collector.Doctor;

/// <summary>Whether the script that runs after each dump can be run; it is not run.</summary>
/// <param name="Obstacle">Why it cannot be, by its name and mode; null when it can.</param>
/// <param name="FirstBytes">Its beginning.</param>
/// <param name="HasInterpreter">What its first line names is there; true where the line names none.</param>
/// <param name="OthersMayWrite">Group or others can change it.</param>
internal sealed record ScriptFacts(string? Obstacle, byte[] FirstBytes, bool HasInterpreter, bool OthersMayWrite);

/// <inheritdoc cref="ScriptFacts"/>
[UnsupportedOSPlatform("windows")]
internal static class ScriptCheck
{
    private const string Subject = "script";
    private const int FirstBytes = 256;

    public static IEnumerable<Finding> Look(string? script) => script is null ? [new(FindingLevel.Ok, Subject, "none (-i)")] : [Judge(script, Read(script))];

    public static Finding Judge(string script, ScriptFacts facts)
    {
        if (facts.Obstacle is string obstacle)
            return Finding.FromSentence(FindingLevel.Problem, Subject, $"{obstacle.Replace("; ", ": serve would not start; ", StringComparison.Ordinal)}{(obstacle.Contains("; ", StringComparison.Ordinal) ? "" : ": serve would not start; name an executable file with -i")}");
        if (!IsProgram(facts.FirstBytes))
            return new(FindingLevel.Problem, Subject, $"{script} is no program: it does not begin with #! and an interpreter", "write '#!/bin/sh' into its first line");
        if (!facts.HasInterpreter)
            return new(FindingLevel.Problem, Subject, $"the interpreter of {script} is not there: {InterpreterOf(facts.FirstBytes)}", "correct its first line, or install the interpreter");
        return facts.OthersMayWrite
            ? new(FindingLevel.Warning, Subject, $"{script} can be changed by others, who thereby act as the collector", $"chmod go-w '{script}'")
            : new(FindingLevel.Ok, Subject, $"{script} can be run; it gets an environment of NETDUMP_STATUS and NETDUMP_MANIFEST alone, so name programs by their paths");
    }

    private static ScriptFacts Read(string script)
    {
        if (ScriptRunner.Check(script) is string obstacle)
            return new(obstacle, [], true, false);
        byte[] first = new byte[FirstBytes];
        try
        {
            using var file = File.OpenRead(script);
            first = first[..file.ReadAtLeast(first, FirstBytes, throwOnEndOfStream: false)];
        }
        catch (UnauthorizedAccessException)
        {
            // A binary need not be readable to be run.
            first = [.. "\u007fELF"u8];
        }

        string interpreter = InterpreterOf(first);
        bool othersMayWrite = (File.GetUnixFileMode(script) & (UnixFileMode.GroupWrite | UnixFileMode.OtherWrite)) != 0;
        return new(null, first, interpreter.Length == 0 || File.Exists(interpreter), othersMayWrite);
    }

    private static bool IsProgram(ReadOnlySpan<byte> first) => first.StartsWith("\u007fELF"u8) || first.StartsWith("#!"u8);

    private static string InterpreterOf(ReadOnlySpan<byte> first) => !first.StartsWith("#!"u8) ? ""
        : Encoding.UTF8.GetString(first[2..]).Split('\n', 2)[0].Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries).FirstOrDefault() ?? "";
}
