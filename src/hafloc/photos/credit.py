"""Say whose photo it is, as licences of photos of others demand."""


def credit_in_words(producer: str | None, licence: str | None, source_url: str | None) -> str:
    """ "Ada, CC-BY-SA-4.0, https://…": what is known of it; "" where nothing is."""
    return ", ".join(part for part in (producer, licence, source_url) if part)
