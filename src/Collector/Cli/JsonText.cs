using System.Text.Encodings.Web;
using System.Text.Json;

namespace NetdumpCollector.Collector.Cli;

/// <summary>How JSON results are written.</summary>
internal static class JsonText
{
    /// <summary>The output goes to terminals and programs, never into HTML.</summary>
    public static readonly JsonSerializerOptions Indented = new(JsonSerializerDefaults.Web)
    {
        WriteIndented = true,
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    };
}
