using Microsoft.AspNetCore.Http;

namespace NetdumpCollector.Collector.Pages;

/// <summary>Which dumps a list shows; what is null or empty does not matter.</summary>
public sealed record DumpFilter
{
    public const string OutcomeField = "outcome";
    public const string HostField = "host";
    public const string TextField = "text";
    public const string PanicField = "panic";

    /// <summary>A part of the address takes no longer text.</summary>
    private const int MaxChars = 500;

    public string Outcome { get; init; } = "";

    /// <summary>A part of the host's name or address, whatever its case.</summary>
    public string Host { get; init; } = "";

    /// <summary>A part of the panic message, id or file, whatever its case.</summary>
    public string Text { get; init; } = "";

    /// <summary>Signature of the panic.</summary>
    public string Panic { get; init; } = "";

    public bool IsNone => this == new DumpFilter();

    internal static DumpFilter Of(IQueryCollection query) =>
        new() { Outcome = Value(query, OutcomeField), Host = Value(query, HostField), Text = Value(query, TextField), Panic = Value(query, PanicField) };

    public bool Matches(DumpView dump) =>
        (Outcome.Length == 0 || dump.Status == Outcome)
        && (Host.Length == 0 || Contains(dump.Host, Host) || Contains(dump.Client, Host))
        && (Text.Length == 0 || Contains(dump.Panic, Text) || Contains(dump.Id, Text) || Contains(dump.File, Text))
        && (Panic.Length == 0 || dump.Signature == Panic);

    /// <summary>The address of the list of these dumps.</summary>
    public string ToAddress(int page = 1)
    {
        var fields = new QueryString();
        foreach (var (name, value) in (ReadOnlySpan<(string, string)>)[(OutcomeField, Outcome), (HostField, Host), (TextField, Text), (PanicField, Panic)])
        {
            if (value.Length > 0)
                fields = fields.Add(name, value);
        }

        return $"/dumps{(page > 1 ? fields.Add(PageOf.Field, $"{page}") : fields)}";
    }

    private static bool Contains(string? text, string part) => text?.Contains(part, StringComparison.OrdinalIgnoreCase) ?? false;

    private static string Value(IQueryCollection query, string name)
    {
        string value = query[name].ToString().Trim();
        return value.Length <= MaxChars ? value : value[..MaxChars];
    }
}
