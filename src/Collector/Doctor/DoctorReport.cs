using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using NetdumpCollector.Collector.Cli;

namespace NetdumpCollector.Collector.Doctor;

/// <summary>Writes findings as they come, for people or, at the end, for programs.</summary>
/// <param name="output">Where to.</param>
/// <param name="asJson">One JSON object instead of lines.</param>
/// <param name="hasColour">The words for how bad it is are coloured.</param>
internal sealed class DoctorReport(TextWriter output, bool asJson, bool hasColour)
{
    private const int SubjectWidth = 17;
    private const string Indent = "                           ";

    private static readonly JsonSerializerOptions s_json = new(JsonText.Indented) { Converters = { new JsonStringEnumConverter(JsonNamingPolicy.CamelCase) } };

    private readonly List<Finding> _findings = [];

    public IReadOnlyList<Finding> Findings => _findings;

    /// <summary>0 where nothing is worse than a warning.</summary>
    public int ExitCode => _findings.Any(finding => finding.Level == FindingLevel.Problem) ? Cli.ExitCode.Failed : Cli.ExitCode.Ok;

    /// <summary>Whether lines may be coloured: on a terminal, unless the environment says no.</summary>
    /// <remarks>Source: no-color.org.</remarks>
    public static bool MayColour(CommandIo io, bool outputIsTerminal) =>
        outputIsTerminal && string.IsNullOrEmpty(io.Environment.GetValueOrDefault("NO_COLOR")) && io.Environment.GetValueOrDefault("TERM") is not (null or "" or "dumb");

    public void Add(Finding finding)
    {
        _findings.Add(finding);
        if (asJson)
            return;
        output.WriteLine($"{Word(finding.Level)}  {finding.Subject.PadRight(SubjectWidth)} {finding.Found}");
        if (finding.Advice is string advice)
            output.WriteLine($"{Indent}-> {advice}");
    }

    /// <summary>Writes what is left to say.</summary>
    public void End()
    {
        int problems = Count(FindingLevel.Problem), warnings = Count(FindingLevel.Warning);
        if (asJson)
        {
            var document = new JsonObject { ["problems"] = problems, ["warnings"] = warnings, ["findings"] = JsonSerializer.SerializeToNode(_findings, s_json) };
            output.WriteLine(document.ToJsonString(JsonText.Indented));
            return;
        }

        output.WriteLine();
        output.WriteLine(problems > 0 ? $"{Number(problems, "problem")} and {Number(warnings, "warning")}: dumps would be lost."
            : warnings > 0 ? $"No problems, {Number(warnings, "warning")}." : "No problems.");
    }

    private int Count(FindingLevel level) => _findings.Count(finding => finding.Level == level);

    private static string Number(int count, string what) => $"{count} {what}{(count == 1 ? "" : "s")}";

    private string Word(FindingLevel level)
    {
        var (word, colour) = level switch
        {
            FindingLevel.Ok => ("ok      ", "32"),
            FindingLevel.Warning => ("warning ", "33"),
            FindingLevel.Problem => ("PROBLEM ", "1;31"),
            _ => ("left out", "36"),
        };
        return hasColour ? $"\e[{colour}m{word}\e[0m" : word;
    }
}
