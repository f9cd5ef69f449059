namespace NetdumpCollector.Collector.Doctor;

/// <summary>What a look at something showed.</summary>
internal enum FindingLevel
{
    /// <summary>As it should be.</summary>
    Ok,

    /// <summary>Dumps are taken, and yet something should change or be known.</summary>
    Warning,

    /// <summary>Dumps would be lost, or none would be taken.</summary>
    Problem,

    /// <summary>Not looked at, and why.</summary>
    LeftOut,
}

/// <summary>One thing that <c>doctor</c> looked at; its JSON is a published format.</summary>
/// <param name="Level">How bad it is.</param>
/// <param name="Subject">What was looked at.</param>
/// <param name="Found">What was found, and why it matters.</param>
/// <param name="Advice">What to do, with the command where there is one; null where nothing is to be done.</param>
internal sealed record Finding(FindingLevel Level, string Subject, string Found, string? Advice = null)
{
    /// <summary>A finding whose sentence ends, behind the last semicolon, with what to do: so do the messages of the server's own errors and warnings.</summary>
    public static Finding FromSentence(FindingLevel level, string subject, string sentence)
    {
        int at = sentence.LastIndexOf("; ", StringComparison.Ordinal);
        return at < 0 ? new(level, subject, sentence) : new(level, subject, sentence[..at], sentence[(at + 2)..]);
    }
}
