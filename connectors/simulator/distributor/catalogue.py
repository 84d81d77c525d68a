"""The fixed parts of the simulated distributor: trading names, goods, warehouses, carriers and their rates."""

from __future__ import annotations

COMPANY_OF = {"DE": "demf", "NL": "demf", "FR": "demf", "US-EAST": "usmf", "US-WEST": "usmf"}
CURRENCY = {"demf": "EUR", "usmf": "USD"}
BUSINESS_UNIT = {"demf": "EU", "usmf": "US"}
TAX = {"DE": "0.19", "NL": "0.21", "FR": "0.20", "US-EAST": "0", "US-WEST": "0"}

# Trading names are made up; they name no firm and no person.
CUSTOMERS: dict[str, tuple[str, ...]] = {
    "DE": (
        "Nordlicht Handel", "Elbtal Werkzeuge", "Kranich Baustoffe", "Isarfeld Technik", "Moorland Gastro",
        "Hafenkontor Süd", "Tannhof Möbel", "Lindenau Papier", "Brockenblick Sport", "Weserbogen Elektro",
        "Steinfurt Apotheken", "Rheinufer Hotels", "Falkenried Druck", "Havelgrund Garten",
    ),
    "NL": (
        "Delft Marine", "Zaanhoek Foods", "Polderzicht Bouw", "Maasdijk Fietsen", "Veluwe Outdoor",
        "Texelstroom Supply", "Amstelkade Optiek", "Kampereiland Agri", "Sluisweg Interieur", "Grachtenhuis Books",
    ),
    "FR": (
        "Comptoir Valmorel", "Atelier Garonne", "Maison Brévent", "Cadence Littoral", "Boulangerie Horizon",
        "Vignes d'Aubrac", "Lumière Rivage", "Papeterie Solane", "Ardoise & Cie", "Transalp Équipement",
    ),
    "US-EAST": (
        "Northgate Retail", "Harbor & Pine Supply", "Blue Heron Outfitters", "Fairmount Fixtures",
        "Cobblestone Kitchens", "Old Mill Hardware", "Lantern Bay Books", "Graniteway Tools", "Juniper Street Market",
        "Tidewater Lamps", "Beacon Row Clinics", "Maple Hollow Farms", "Ironbridge Gyms", "Seaboard Stationery",
    ),
    "US-WEST": (
        "Cascade Lane Grocers", "Redwood Crossing", "High Mesa Traders", "Pacific Loom", "Sagebrush Cycles",
        "Golden Orchard Foods", "Canyon Light Electric", "Silverpine Studios", "Basalt Ridge Builders",
        "Larkspur Pharmacies", "Desert Wren Hotels", "Cedar Flats Pets",
    ),
}  # fmt: skip

# List prices in the company's own currency.
ITEMS: dict[str, float] = {
    "A1001": 2.40, "A1002": 3.10, "A1003": 3.85, "A1004": 4.50, "A1005": 5.20, "A1006": 6.75, "A1007": 7.90,
    "A1008": 8.60, "B2001": 9.95, "B2002": 11.40, "B2003": 12.80, "B2004": 14.25, "B2005": 16.90, "B2006": 18.50,
    "B2007": 21.30, "B2008": 24.75, "C3001": 27.40, "C3002": 31.90, "C3003": 36.50, "C3004": 42.00, "C3005": 48.80,
    "C3006": 55.25, "C3007": 63.90, "C3008": 74.50, "D4001": 86.00, "D4002": 99.50, "D4003": 118.00, "D4004": 139.00,
    "D4005": 168.00, "D4006": 215.00, "D4007": 298.00, "D4008": 480.00,
}  # fmt: skip

WAREHOUSES: dict[str, dict[str, str]] = {
    "demf": {"HAM-01": "DE", "RTM-01": "NL", "LYS-01": "FR"},
    "usmf": {"EWR-01": "US-EAST", "ATL-01": "US-EAST", "OAK-01": "US-WEST"},
}

CARRIERS = {"demf": ("NORDFRT", "RHINELOG", "VELOCE"), "usmf": ("HEARTLND", "PACIFICX", "TRISTATE")}
MODES = ("ECONOMY", "GROUND", "EXPRESS")
# Per delivery mode: price per kilogram and minimum, before the carrier's own factor.
BASE_RATES = {"ECONOMY": (0.31, 9.50), "GROUND": (0.52, 14.00), "EXPRESS": (1.18, 26.00)}
CARRIER_FACTOR = (1.0, 1.08, 0.94)
TOLERANCE_PERCENT = 2.5
